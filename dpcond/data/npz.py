"""A NumPy archive of images: arrays ``x`` and ``y``, and ``x_test`` and ``y_test`` if there is a test set."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from dpcond.data.pixels import as_uint8_images
from dpcond.data.records import Arrays
from dpcond.errors import InputError


def read(path: Path, name: str) -> tuple[Arrays, Arrays | None]:
    """Training and test images, uint8 [N, C, H, W], with their labels [N]; pickled objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in ("x", "y", "x_test", "y_test") if key in archive}
            found = ", ".join(archive.files) or "nothing"
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{name}: {path} is not an npz file or is truncated ({error})") from None
    if not {"x", "y"} <= set(arrays) or ("x_test" in arrays) != ("y_test" in arrays):
        raise InputError(f"{name}: {path} holds {found}; expected arrays x and y (and both x_test and y_test)")
    test = (as_uint8_images(arrays["x_test"], name), arrays["y_test"]) if "x_test" in arrays else None
    return (as_uint8_images(arrays["x"], name), arrays["y"]), test
