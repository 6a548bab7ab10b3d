"""Pictures of exposed records as data: URIs. They are real records: only for the eyes of who holds them already."""

import base64
import io

import numpy as np

from attacks.errors import InputError
from attacks.records import Records


def data_uris(records: Records, indices: list[int]) -> list[str]:
    """PNGs of images [H, W], [1, H, W] or [3, H, W], stretched to the range of all records. Planted canaries are left out."""
    from PIL import Image

    if records.x.ndim not in (3, 4) or (records.x.ndim == 4 and records.x.shape[1] not in (1, 3)):
        raise InputError(f"pictures: records have shape {records.x.shape[1:]}, expected [H, W], [1, H, W] or [3, H, W]")
    low, high = records.x.min(), records.x.max()
    uris = []
    for index in indices:
        if index >= len(records):
            continue
        levels = np.uint8(255 * (records.x[index] - low) / max(high - low, 1e-12))
        picture = levels.transpose(1, 2, 0).squeeze() if levels.ndim == 3 else levels
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="png")
        uris.append("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode())
    return uris
