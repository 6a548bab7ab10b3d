"""Students trained on released sets, many as one batched model, and the attacks that query them."""

from attacks.students.attacks import STUDENT_ATTACKS, student_scores
from attacks.students.ensemble import Ensemble, log_odds, train

__all__ = ["STUDENT_ATTACKS", "Ensemble", "log_odds", "student_scores", "train"]
