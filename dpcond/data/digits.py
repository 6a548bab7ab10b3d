"""scikit-learn's embedded handwritten digits: 1,797 images of 8×8, with a fixed, public, stratified split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dpcond.data.records import Arrays
from dpcond.spec import DataSpec

SPEC = DataSpec(
    name="digits",
    kind="image",
    shape=(1, 8, 8),
    classes=tuple("0123456789"),
    records=1437,
    source="UCI optical recognition of handwritten digits, embedded in scikit-learn; fixed split 1,437 / 360",
)


def read(root: Path) -> tuple[Arrays, Arrays]:
    """Training and test digits, uint8 [N, 1, 8, 8] (0..16 scaled to 0..255); ``root`` is not needed."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    values, labels = load_digits(return_X_y=True)
    pixels = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    # An integer seed means numpy's legacy RandomState, whose stream is frozen: the split cannot drift.
    x, x_test, y, y_test = train_test_split(pixels, labels, test_size=360, stratify=labels, random_state=0)
    return (x, y), (x_test, y_test)
