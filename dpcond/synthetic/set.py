"""What condensation learns: a small labelled set of images or rows, in the normalised space."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpcond.errors import InputError
from dpcond.spec import DataSpec


def bounds_of(spec: DataSpec) -> tuple[Tensor, Tensor]:
    """Lowest and highest normalised values of a record, broadcastable to records [..., *shape]."""
    mean, std = (torch.tensor(c).view(-1, *(1,) * (len(spec.shape) - 1)) for c in (spec.mean, spec.std))
    return (spec.bounds[0] - mean) / std, (spec.bounds[1] - mean) / std


def tiled(images: Tensor, factor: int) -> Tensor:
    """Stored images [n, C, H, W] of which every one holds the next factor² of ``images`` [n·factor², C, H, W], shrunk.

    Decoding gives them back, up to their resolution; factor 1 changes nothing.
    """
    if factor == 1:
        return images
    small = F.avg_pool2d(images, factor)
    _, channels, height, width = small.shape
    rows = small.view(-1, factor, factor, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return rows.reshape(-1, channels, factor * height, factor * width)


class SyntheticSet(nn.Module):
    """Learnable ``pixels`` [M, *shape] with fixed labels; starts from public things only.

    Multi-formation (Kim et al. 2022, IDC): every stored image holds factor × factor smaller ones, cut out and upsampled
    when decoded, so M stored images give M·factor² examples.

    Attributes:
        pixels: leaf parameter [M, *shape], normalised.
        labels: int64 [M], class of a stored image.
        soft_labels: probabilities [M·factor², classes] of the decoded examples, or None.
        low, high: normalised bounds, broadcastable to a record.
        factor: multi-formation factor; 1 stores plain images.
    """

    labels: Tensor
    soft_labels: Tensor | None
    low: Tensor
    high: Tensor

    def __init__(self, spec: DataSpec, pixels: Tensor, labels: Tensor, factor: int = 1) -> None:
        super().__init__()
        if tuple(pixels.shape[1:]) != spec.shape or len(pixels) != len(labels) or not pixels.isfinite().all():
            raise InputError(
                f"synthetic set of shape {tuple(pixels.shape)} with {len(labels)} labels: expected finite values "
                f"[M, {', '.join(map(str, spec.shape))}] and M labels"
            )
        if factor < 1 or (factor > 1 and (spec.kind != "image" or any(side % factor for side in spec.shape[1:]))):
            raise InputError(
                f"multi-formation factor {factor} on records {spec.shape}: it must divide an image's height and width"
            )
        self.factor = factor
        self.num_classes = spec.num_classes
        self.pixels = nn.Parameter(pixels.detach().clone().float())
        self.register_buffer("labels", labels.long())
        self.register_buffer("soft_labels", None)
        for name, bound in zip(("low", "high"), bounds_of(spec), strict=True):
            self.register_buffer(name, bound, persistent=False)

    @staticmethod
    def start(spec: DataSpec, ipc: int, seed: int = 0, factor: int = 1, warm: Tensor | None = None) -> SyntheticSet:
        """``ipc`` stored images (or rows) per class, ordered by class: Gaussian noise in the normalised space, or ``warm``.

        Args:
            seed: public; no global generator is touched.
            warm: [classes·ipc, *shape], normalised, made of released answers (law 6: never of records).
        """
        if ipc < 1:
            raise InputError(f"images per class {ipc}: expected at least 1")
        labels = torch.arange(spec.num_classes).repeat_interleave(ipc)
        if warm is None:
            warm = torch.randn(len(labels), *spec.shape, generator=torch.Generator().manual_seed(seed))
        return SyntheticSet(spec, warm, labels, factor)

    def __len__(self) -> int:
        """Number of decoded examples."""
        return len(self.labels) * self.factor**2

    def decode(self, stored: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Examples [n·factor², *shape], differentiable in ``pixels``, and their hard labels [n·factor²].

        Args:
            stored: int64 [n], which stored images to decode (default all); the examples of one stay together.
        """
        pixels = self.pixels if stored is None else self.pixels[stored]
        labels = self.labels if stored is None else self.labels[stored]
        f = self.factor
        if f == 1:
            return pixels, labels
        n, channels, height, width = pixels.shape
        tiles = pixels.view(n, channels, f, height // f, f, width // f).permute(0, 2, 4, 1, 3, 5)
        tiles = tiles.reshape(n * f * f, channels, height // f, width // f)
        decoded = F.interpolate(tiles, size=(height, width), mode="bilinear", align_corners=False)
        return decoded, labels.repeat_interleave(f * f)

    def label_softly(self, probabilities: Tensor) -> None:
        """Attach soft labels [len(self), classes]: rows that are non-negative and sum to one."""
        expected = (len(self), self.num_classes)
        rows = probabilities.detach().float()
        if tuple(rows.shape) != expected or not (rows >= 0).all() or not ((rows.sum(1) - 1).abs() < 1e-3).all():
            raise InputError(
                f"soft labels of shape {tuple(rows.shape)}: expected probabilities {expected}, rows summing to 1"
            )
        self.soft_labels = rows.to(self.pixels.device)

    @torch.no_grad()
    def clamp_(self) -> SyntheticSet:
        """Move every value inside the public bounds, in place."""
        self.pixels.copy_(self.pixels.clamp(self.low, self.high))
        return self
