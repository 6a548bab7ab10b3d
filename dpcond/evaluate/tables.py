"""Tables: how well scikit-learn's usual classifiers, trained on a synthetic table, do on real test rows."""

from __future__ import annotations

import difflib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from dpcond.errors import InputError
from dpcond.evaluate.examples import Examples
from dpcond.evaluate.networks import summary

CLASSIFIERS = ("logistic", "forest", "boosting")


def _classifier(name: str, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    if name == "logistic":
        return LogisticRegression(max_iter=1000)
    if name == "forest":
        return RandomForestClassifier(random_state=seed)
    if name == "boosting":
        return HistGradientBoostingClassifier(random_state=seed)
    near = difflib.get_close_matches(name, CLASSIFIERS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(CLASSIFIERS)}"
    raise InputError(f"table classifier {name!r} is unknown: {hint}")


def evaluate_table(
    examples: Examples,
    test: Examples,
    num_classes: int,
    *,
    models: Sequence[str] = CLASSIFIERS,
    seeds: int | Sequence[int] = 3,
) -> dict[str, Any]:
    """ROC-AUC, average precision and accuracy of scikit-learn classifiers at their default settings.

    Soft labels are used as their most probable class. With more than two classes, ROC-AUC is one-vs-rest and both
    areas are means over the classes that occur in the test set.

    Returns:
        JSON-able; under ``models``, per classifier and metric, ``values``, ``mean`` and ``std`` over the seeds.
    """
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    x, y = _rows(examples)
    test_x, test_y = _rows(test)
    if len(np.unique(y)) < 2:
        raise InputError("table evaluation: the training rows hold one class only")
    results = {}
    for name in models:
        start = time.perf_counter()
        scores = [
            _scores(_classifier(name, seed).fit(x, y), test_x, test_y, num_classes)
            for seed in (chosen if name != "logistic" else chosen[:1])  # logistic regression has no randomness
        ]
        metrics = {metric: summary([score[metric] for score in scores], "values") for metric in scores[0]}
        results[name] = {**metrics, "seconds": time.perf_counter() - start}
    return {
        "protocol": {"name": "table", "source": "scikit-learn classifiers at default settings"},
        "examples": len(examples),
        "test_examples": len(test),
        "seeds": chosen,
        "models": results,
    }


def _rows(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    x, y = examples.batch(torch.arange(len(examples)))
    hard = y.argmax(1) if y.is_floating_point() else y
    return x.flatten(1).cpu().numpy(), hard.cpu().numpy()


def _scores(classifier: Any, x: np.ndarray, y: np.ndarray, num_classes: int) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    probability = np.zeros((len(x), num_classes))
    probability[:, classifier.classes_] = classifier.predict_proba(x)  # a class may be missing from the training rows
    wanted = [1] if num_classes == 2 else [c for c in range(num_classes) if 0 < (y == c).sum() < len(y)]
    return {
        "roc_auc": float(np.mean([roc_auc_score(y == c, probability[:, c]) for c in wanted])),
        "average_precision": float(np.mean([average_precision_score(y == c, probability[:, c]) for c in wanted])),
        "accuracy": float((probability.argmax(1) == y).mean()),
    }
