"""The picture of a release: a row of images per class, or a histogram per column; the same bytes every time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpcond.decoding import decode_images, decode_rows
from dpcond.spec import DataSpec

MAX_CLASSES, PER_CLASS, MAX_COLUMNS, TILE, MARGIN = 20, 10, 16, 48, 4


def render(x: NDArray[np.float32], y: NDArray[np.int64], spec: DataSpec, title: str) -> bytes:
    """``preview.png`` of normalised records [M, *shape] with labels [M] under ``title``."""
    return _grid(x, y, spec, title) if spec.kind == "image" else _histograms(x, y, spec, title)


def _grid(x: NDArray[np.float32], y: NDArray[np.int64], spec: DataSpec, title: str) -> bytes:
    from PIL import Image, ImageDraw

    shown = [np.flatnonzero(y == c)[:PER_CLASS] for c in range(spec.num_classes)][:MAX_CLASSES]
    channels, height, width = spec.shape
    scale = -(-TILE // max(height, width))
    step_x, step_y = width * scale + MARGIN, height * scale + MARGIN
    font, small = _font(14), _font(11)
    left = MARGIN + max(int(small.getlength(name)) for name in spec.classes[: len(shown)]) + MARGIN
    top = 14 + 3 * MARGIN
    right = max(left + PER_CLASS * step_x, int(font.getlength(title)) + 2 * MARGIN)
    canvas = Image.new("RGB", (right, top + len(shown) * step_y + MARGIN), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, fill="black", font=font)
    for row, indices in enumerate(shown):
        draw.text((MARGIN, top + row * step_y), spec.classes[row], fill="black", font=small)
        for column, pixels in enumerate(decode_images(x[indices], spec)):
            colour = pixels if channels == 3 else np.repeat(pixels[:1], 3, axis=0)
            large = colour.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
            canvas.paste(Image.fromarray(large), (left + column * step_x, top + row * step_y))
    out = io.BytesIO()
    canvas.save(out, format="PNG")
    return out.getvalue()


def _font(size: int):  # type: ignore[no-untyped-def]
    """DejaVu Sans, which comes with matplotlib and has Greek letters."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _histograms(x: NDArray[np.float32], y: NDArray[np.int64], spec: DataSpec, title: str) -> bytes:
    from matplotlib.figure import Figure

    frame = decode_rows(x, y, spec)
    columns = list(frame.columns)[-MAX_COLUMNS:]
    across = min(4, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(3.2 * across, 2.4 * down + 0.5), dpi=80, layout="constrained")
    figure.suptitle(title)
    for i, name in enumerate(columns):
        axes = figure.add_subplot(down, across, i + 1)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=6)
        values = frame[name]
        if values.dtype == object or not np.issubdtype(values.to_numpy().dtype, np.number):
            counts = values.value_counts().sort_index().nlargest(10)
            axes.barh([str(v)[:18] for v in counts.index], counts.to_numpy())
        else:
            axes.hist(values.to_numpy(), bins=20)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
