"""Every attack of a procedure audit as method × signal: φ [K, T] of a signal, compared between runs by a method."""

from collections.abc import Sequence

import numpy as np

from attacks.errors import InputError
from attacks.scores import SCORES
from attacks.shadows.groundhog import groundhog, predict
from attacks.shadows.lira import lira_fixed, lira_offline, lira_online
from attacks.shadows.moments import from_runs, left_out
from attacks.shadows.rmia import average, base, left_out_average, rmia
from attacks.shadows.signals import DEFAULT

LIRA = {"lira_online": lira_online, "lira_offline": lira_offline, "lira_fixed": lira_fixed}
RATIOS = {"rmia": rmia, "base": base}
SAYS = {
    "lira_online": "likelihood ratio of the score with and without the record, variance shrunk per record",
    "lira_offline": "one-sided test of the score against runs without the record",
    "lira_fixed": "likelihood ratio with one variance for all records",
    "rmia": "likelihood ratio to the average run, ranked among the other targets of the run",
    "base": "log likelihood less its log mean over the other runs",
    "groundhog": "random forest on all signals of a run, trained on other runs",
}
Wanted = list[tuple[str, str]]


def named(attacks: Sequence[str] | None, students: bool) -> Wanted:
    """(method, signal) pairs of the names asked for; None means all methods on the default signals."""
    default = [*DEFAULT, *(["student"] if students else [])]
    known = [*SCORES, "student"]
    everything = [(method, signal) for method in (*LIRA, *RATIOS) for signal in default] + [("groundhog", "all")]
    if attacks is None:
        return everything
    if not attacks:
        raise InputError("attacks: none is named; give at least one, or leave them out for all")
    wanted: Wanted = []
    for name in attacks:
        method, _, signal = name.partition(":")
        if name in known:
            found = [(method, name) for method in LIRA]
        elif signal:
            fits = signal == "all" if method == "groundhog" else method in SAYS and signal in known
            found = [(method, signal)] if fits else []
        else:
            found = [pair for pair in everything if pair[0] == method]
        if not found:
            raise InputError(
                f"attack {name!r} is not known; methods: {', '.join(SAYS)}; signals: {', '.join(known)}; or method:signal"
            )
        if not students and any(s == "student" for _, s in found):
            raise InputError(f"attack {name!r} needs students; give students of at least 1")
        wanted += found
    return list(dict.fromkeys(wanted))


def compare(phis: dict[str, np.ndarray], member: np.ndarray, wanted: Wanted, seed: int) -> dict[str, np.ndarray]:
    """Scores [K, T] of each run's targets from all runs but that one and its complement."""
    scores = {}
    for method, signal in wanted:
        if method in LIRA:
            score = LIRA[method](phis[signal], left_out(phis[signal], member))
        elif method in RATIOS:
            score = RATIOS[method](phis[signal], left_out_average(phis[signal]))
        else:
            score = groundhog(np.stack(list(phis.values())), member, seed)
        scores[f"{method}:{signal}"] = score
    return scores


def transfer(
    phis: dict[str, np.ndarray],
    member: np.ndarray,
    fit: np.ndarray,
    test: np.ndarray,
    attack: tuple[str, str],
    seed: int,
) -> np.ndarray:
    """Scores [test, T] of one attack that knows the coins of the runs `fit` [K] alone (booleans, like `test`)."""
    method, signal = attack
    if method == "groundhog":
        return predict(np.stack(list(phis.values())), member, fit, test, seed)
    phi = phis[signal]
    if method in LIRA:
        return LIRA[method](phi[test], from_runs(phi[fit], member[fit]))
    return RATIOS[method](phi[test], average(phi[fit]))
