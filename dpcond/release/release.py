"""A release: synthetic records with the promise they were made under. It is a torch ``Dataset``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from dpcond.decoding import decode_images, decode_rows
from dpcond.errors import InputError
from dpcond.release import bundle, card, preview
from dpcond.release.privacy_statement import epsilon_of, in_words
from dpcond.spec import DataSpec

if TYPE_CHECKING:
    import pandas

RECORDS = "records_sha256"  # in privacy.json: which records and labels the promise is about


@dataclass(eq=False)
class Release(Dataset[tuple[Tensor, int]]):
    """Synthetic records, labels, and what may be said about them. Item i is ``(x[i], int(y[i]))``.

    Attributes:
        x: [M, *shape] float32, NORMALISED by the spec's public constants; :meth:`images` and :meth:`frame` undo it.
        y: [M] int64 labels, indices into ``spec.classes``.
        spec: the public description of the original data, enough to decode.
        privacy: the promise, as :func:`dpcond.release.statement` builds it; the hash of the records is added to it.
        method: the method's name.
        options: its public options, JSON values.
        soft_labels: [M, C] float32 label weights, when the method learned them.
        ledger: the ledger to put beside the records; read once, here, so that the file need not outlive the run.
        charges: its content.

    Raises:
        InputError: tensors that do not fit the spec, a value that is not finite, an inconsistent promise or one made for
            other records, a ledger that cannot be read.
    """

    x: Tensor
    y: Tensor
    spec: DataSpec
    privacy: dict[str, Any]
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    soft_labels: Tensor | None = None
    ledger: Path | None = None

    def __post_init__(self) -> None:
        self.x = self.x.detach().to("cpu", torch.float32).contiguous()
        self.y = self.y.detach().to("cpu", torch.int64).contiguous()
        size, spec = len(self.x), self.spec
        if not size or tuple(self.x.shape[1:]) != spec.shape or self.y.shape != (size,):
            raise InputError(
                f"release: records {tuple(self.x.shape)} with labels {tuple(self.y.shape)}; expected "
                f"(M, {', '.join(map(str, spec.shape))}) with (M,), M ≥ 1"
            )
        if int(self.y.min()) < 0 or int(self.y.max()) >= spec.num_classes:
            raise InputError(f"release: a label is outside the {spec.num_classes} declared classes")
        if self.soft_labels is not None:
            self.soft_labels = self.soft_labels.detach().to("cpu", torch.float32).contiguous()
            if self.soft_labels.shape != (size, spec.num_classes):
                raise InputError(
                    f"release: soft labels {tuple(self.soft_labels.shape)}; expected ({size}, {spec.num_classes})"
                )
        if not all(bool(t.isfinite().all()) for t in (self.x, self.soft_labels) if t is not None):
            raise InputError("release: a synthetic value is NaN or infinite; the condensation diverged")
        if epsilon_of(self.privacy) < float("inf") and self.ledger is None:
            raise InputError("release: a private release carries its ledger; give ledger=PATH")
        try:
            self.charges = None if self.ledger is None else Path(self.ledger).read_bytes()
        except OSError as error:
            raise InputError(f"release: ledger {self.ledger} cannot be read ({error.strerror})") from None
        if self.privacy.get(RECORDS, self._digest()) != self._digest():
            raise InputError("release: these are not the records that its promise was made for")
        self.privacy = {**self.privacy, RECORDS: self._digest()}

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], int(self.y[index])

    @property
    def epsilon(self) -> float:
        """The promised ε; ∞ when not private."""
        return epsilon_of(self.privacy)

    @property
    def private(self) -> bool:
        """Whether anything is promised."""
        return bool(self.privacy["private"])

    def images(self) -> NDArray[np.uint8]:
        """Images as uint8 pixels [M, C, H, W]; raises InputError for a table."""
        return decode_images(self.x.numpy(), self.spec)

    def frame(self) -> pandas.DataFrame:
        """Rows in the original columns, label included; raises InputError for images."""
        return decode_rows(self.x.numpy(), self.y.numpy(), self.spec)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the release folder, whole or not at all; the same release gives the same bytes.

        Raises:
            InputError: the folder exists, or cannot be written.
        """
        bundle.write_folder(path, self._files(), overwrite)

    def _files(self) -> dict[str, bytes]:
        if self._digest() != self.privacy[RECORDS]:
            raise InputError("release: its records or labels changed since it was made, and its promise is not theirs")
        title = f"{self.spec.name} · {self.method} · {len(self)} synthetic records · {in_words(self.privacy)}"
        files = {
            bundle.DATA: self._tensors(),
            bundle.SPEC: bundle.to_bytes(self.spec.to_json()),
            bundle.PRIVACY: bundle.to_bytes(self.privacy),
            bundle.CARD: card.render(self.spec, self.privacy, self.method, self.options, len(self)),
            bundle.PREVIEW: preview.render(self.x.numpy(), self.y.numpy(), self.spec, title),
        }
        if self.charges is not None:
            files[bundle.LEDGER] = self.charges
        return files

    def _digest(self) -> str:
        tensors = (self.x, self.y, self.soft_labels)
        return hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors if t is not None)).hexdigest()

    def _tensors(self) -> bytes:
        from safetensors.torch import save

        tensors = {"x": self.x, "y": self.y}
        if self.soft_labels is not None:
            tensors["soft_labels"] = self.soft_labels
        about = {"format": bundle.FORMAT, "method": self.method, "options": self.options}
        # One metadata key only: safetensors keeps several in an order of its own, which would change the bytes.
        return save(tensors, {"dpcond": bundle.to_bytes(about).decode()})

    @staticmethod
    def load(path: str | Path) -> Release:
        """Open a release folder; see :func:`dpcond.release.read`."""
        from dpcond.release.reading import read

        return read(path)
