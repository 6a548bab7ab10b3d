"""The private teacher as a ceiling: what a classifier makes of the same budget when nothing has to be condensed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dpcond import __version__
from dpcond.data import Data
from dpcond.evaluate import linear_head_accuracy
from dpcond.methods.base import Progress, Run, with_counts
from dpcond.methods.teacher import teacher_stage, train_teacher
from dpcond.models import resolve_device, reuse_freed_memory
from dpcond.privacy.certificate import certify
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.plan import Plan, make_plan
from experiments.leaderboard.meter import Meter, timed
from experiments.leaderboard.row import DIRECT, Row


def teacher_plan(row: Row, seed: int, data: Data) -> Plan:
    """The whole budget for the teacher (and the class counts, where they are private)."""
    public: dict[str, Any] = {"dpcond": __version__, "spec": data.spec.to_json(), "method": "teacher", "seed": seed}
    stages = with_counts(data.spec, teacher_stage(data.spec, 1.0, **row.options))
    return make_plan(stages, row.epsilon, row.delta, row.adjacency, public)


def train_and_judge(
    row: Row, seed: int, data: Data, folder: Path, device: str, progress: Progress
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train on a ledger of its own in ``folder/run``, going on with what is there.

    Returns:
        What it cost, certified from the ledger as it lies on disk; and how it does on the test set.
    """
    assert data.test is not None
    planned, chosen = teacher_plan(row, seed, data), resolve_device(device)
    path = folder / "run" / "ledger.jsonl"
    reuse_freed_memory()
    with timed(folder):
        path.parent.mkdir(exist_ok=True)
        with Ledger.resume(path, planned) if path.exists() else Ledger.create(path, planned) as ledger:
            answers = path.parent / "answers"
            curator = Curator(data.spec, planned, data.records, ledger, answers=answers, device=chosen)
            teacher = train_teacher(curator, Run(row.ipc, seed, chosen, progress), whitened=True)
    with Meter() as used:
        classes = torch.eye(data.spec.num_classes, dtype=torch.float64)
        accuracy = linear_head_accuracy(classes, lambda x: teacher(x.to(chosen)).cpu(), data.test)["mean"]
    certificate = certify(Ledger.read(path).events(), row.delta, row.adjacency)
    promise = {
        "verified": certificate.epsilon <= row.epsilon,
        "private": True,
        "epsilon": certificate.epsilon,
        "epsilon_by_accountant": {name: e for name, e in certificate.accountants.items() if e is not None},
        "quoted": certificate.quoted,
        "delta": row.delta,
        "adjacency": row.adjacency,
        "plan_hash": planned.hash,
        "options": row.options,
    }
    return promise, {"accuracy": accuracy, "protocol": {"name": DIRECT}, "augmentation": None, **used.to_json()}
