"""Statistics of membership inference: arrays in, frozen results out, every number with its error."""

from attacks.statistics.epsilon import (
    EpsilonBound,
    bailey,
    clopper_pearson_counts,
    epsilon_clopper_pearson,
    epsilon_gdp,
    gdp_counts,
    joint_beta,
    katz_log,
)
from attacks.statistics.guessing import Guesses, guess, guess_by_bonferroni, guess_by_split
from attacks.statistics.intervals import Estimate, clopper_pearson
from attacks.statistics.one_run import independent_runs, one_run_fdp, steinke
from attacks.statistics.power import Power, power
from attacks.statistics.roc import Roc, advantage, auc, balanced_accuracy, roc, tpr_at_fpr
from attacks.statistics.thresholds import DKW, Bonferroni, Counts, Fixed, MultiSplit, Ranks, Split
from attacks.statistics.tradeoff import (
    epsilon_delta_tradeoff,
    epsilon_from_mu,
    gaussian_tradeoff,
    mu_from_epsilon,
)
from attacks.statistics.verdict import Verdict, verdict

__all__ = [
    "DKW",
    "Bonferroni",
    "Counts",
    "EpsilonBound",
    "Estimate",
    "Fixed",
    "Guesses",
    "MultiSplit",
    "Power",
    "Ranks",
    "Roc",
    "Split",
    "Verdict",
    "advantage",
    "auc",
    "bailey",
    "balanced_accuracy",
    "clopper_pearson",
    "clopper_pearson_counts",
    "epsilon_clopper_pearson",
    "epsilon_delta_tradeoff",
    "epsilon_from_mu",
    "epsilon_gdp",
    "gaussian_tradeoff",
    "gdp_counts",
    "guess",
    "guess_by_bonferroni",
    "guess_by_split",
    "independent_runs",
    "joint_beta",
    "katz_log",
    "mu_from_epsilon",
    "one_run_fdp",
    "power",
    "roc",
    "steinke",
    "tpr_at_fpr",
    "verdict",
]
