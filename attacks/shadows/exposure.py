"""Which records a procedure exposes most: per-record separation over the runs."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

LISTED = 20


def record_auc(score: np.ndarray, member: np.ndarray) -> np.ndarray:
    """AUC [T] of each record's scores with it against those without it, over the K runs."""
    ranks = rankdata(score, axis=0)
    inside, outside = member.sum(axis=0), (~member).sum(axis=0)
    return np.asarray(((ranks * member).sum(axis=0) - inside * (inside + 1) / 2) / (inside * outside))


def exposed_records(
    score: np.ndarray, member: np.ndarray, rows: np.ndarray, families: dict[str, np.ndarray], attack: str
) -> list[dict[str, Any]]:
    """The targets with the largest AUC of their own, and a one-sided p-value corrected for having looked at all."""
    aucs = record_auc(score, member)
    inside, outside = int(member.sum(axis=0)[0]), int((~member).sum(axis=0)[0])
    deviation = np.sqrt((inside + outside + 1) / (12 * inside * outside))  # Mann-Whitney, under no leak
    from scipy.stats import norm

    corrected = np.minimum(1.0, len(aucs) * norm.sf((aucs - 0.5) / deviation))
    listed = []
    for t in np.argsort(-aucs, kind="stable")[:LISTED]:
        kind = [name for name, members in families.items() if rows[t] in members]
        listed.append(
            {
                "index": int(rows[t]),
                "attack": attack,
                "auc": float(aucs[t]),
                "p_corrected": float(corrected[t]),
                "family": ", ".join(kind) or "pool",
            }
        )
    return listed
