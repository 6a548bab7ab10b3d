"""Wavelet scattering (Bruna & Mallat 2013): fixed public features of an image, nothing of which was learned.

The filters, padding and order of channels are those of Kymatio (Andreux et al. 2020), the features of Tramèr & Boneh
(ICLR 2021). Computed by direct strided convolutions over blocks of pixels, which on small images is faster than by
Fourier transforms, and as fast backwards as forwards.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpcond.errors import InputError

NOTHING = 1e-12  # of a window: numbers too small for float32's full precision are multiplied many times slower
REACH = 2.8  # a wavelet is cut off at so many standard deviations of its longer axis


def _gabor(grid: Tensor, sigma: float, angle: float, frequency: float, slant: float) -> Tensor:
    """Gaussian envelope times a complex wave along ``angle``, at integer offsets ``grid`` [n]: complex128 [n, n]."""
    rows, columns = grid[:, None], grid[None, :]
    along = rows * math.cos(angle) + columns * math.sin(angle)
    across = columns * math.cos(angle) - rows * math.sin(angle)
    envelope = torch.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2))
    return envelope * torch.exp(1j * frequency * along) * (slant / (2 * math.pi * sigma**2))


def morlet(scale: int, angle: float, angles: int, radius: int) -> Tensor:
    """Morlet wavelet ψ of octave ``scale``: a Gabor wave less so much envelope that its sum is zero, complex [n, n].

    σ = 0.8·2^scale along the wave and σ·angles/4 across it, frequency (3π/4)/2^scale; n = 2·radius + 1.
    """
    grid = torch.arange(-radius, radius + 1, dtype=torch.float64)
    sigma, slant = 0.8 * 2**scale, 4 / angles
    wave = _gabor(grid, sigma, angle, 0.75 * math.pi / 2**scale, slant)
    envelope = _gabor(grid, sigma, angle, 0.0, slant)
    return wave - envelope * (wave.sum() / envelope.sum())


def wavelets(scale: int, angles: int) -> Tensor:
    """All wavelets of an octave as real kernels, [2·angles, n, n] float64: real parts, then imaginary parts."""
    radius = math.ceil(REACH * 0.8 * 2**scale * max(1.0, angles / 4))
    bank = torch.stack([morlet(scale, (angles // 2 - 1 - t) * math.pi / angles, angles, radius) for t in range(angles)])
    return torch.cat([bank.real, bank.imag])


def in_blocks(kernels: Tensor, block: int, stride: int) -> tuple[Tensor, tuple[int, int]]:
    """Kernels for images laid out in blocks: a block of pixels is one place with block² channels.

    A convolution with many channels is fast in both directions, one with a single channel is slow backwards.

    Args:
        kernels: [m, n, n] for single pixels, n odd.
        block: side of a block; ``stride`` divides it, so that a block of the output is block / stride wide.

    Returns:
        Weights [m · (block / stride)², block², s, s], and the blocks needed before and behind the first of the image.
    """
    radius = kernels.shape[-1] // 2
    before, behind = -(-radius // block), (radius + block - stride) // block
    # offset of an input pixel (of block d, at place a) from an output pixel (at place stride·p of block 0)
    d, a, p = torch.arange(-before, behind + 1), torch.arange(block), stride * torch.arange(block // stride)
    index = (block * d[None, None, :] + a[None, :, None] - p[:, None, None]) + radius  # [p, a, d]
    inside = (index >= 0) & (index <= 2 * radius)
    index = index.clamp(0, 2 * radius)
    rows, columns = index[:, None, :, None, :, None], index[None, :, None, :, None, :]
    kept = inside[:, None, :, None, :, None] & inside[None, :, None, :, None, :]
    weights = torch.where(kept, kernels[:, rows, columns], 0.0)  # [m, p, p', a, a', d, d']
    return weights.flatten(3, 4).flatten(0, 2).float().contiguous(), (before, behind)


def _lowpass(size: int, sigma: float, stride: int) -> Tensor:
    """Circular Gaussian average of ``size`` values at every ``stride``-th place but the outermost, [out, size]."""
    centres = torch.arange(stride, size - stride, stride, dtype=torch.float64)
    offsets = centres[:, None] - torch.arange(size, dtype=torch.float64)
    wraps = size * torch.arange(-2, 3, dtype=torch.float64)
    return torch.exp(-((offsets[..., None] + wraps) ** 2) / (2 * sigma**2)).sum(-1) / math.sqrt(2 * math.pi * sigma**2)


class Scattering(nn.Module):
    """Scattering of order 2 with Morlet wavelets: x ⋆ φ, |x ⋆ ψ| ⋆ φ, ||x ⋆ ψ| ⋆ ψ'| ⋆ φ at all angles and octaves.

    With J = 2 and L = 8 an image has 1 + 16 + 64 = 81 maps per channel, a quarter of its height and width: 81×7×7
    values of 28×28 grey pixels, 243×8×8 of 32×32 in colour. A fixed function of one image, differentiable in it.

    Args:
        channels, size: the images: channels, and (height, width) in pixels.
        octaves: J, the scale 2^J over which φ averages.
        angles: L.
        groups: normalise groups of so many maps of one image to mean 0 and variance 1 (no statistic of other records);
            0: none. It divides ``channels`` · maps.

    Raises:
        InputError: an image too small for J, or groups that do not divide the maps.
    """

    shape: tuple[int, int, int]

    def __init__(
        self, channels: int, size: tuple[int, int], octaves: int = 2, angles: int = 8, groups: int = 0
    ) -> None:
        super().__init__()
        stride = 2**octaves
        if octaves < 1 or min(size) < 2 * stride:
            raise InputError(
                f"scattering of {size[0]}×{size[1]} pixels with J = {octaves}: needs at least {2 * stride}"
            )
        self.octaves, self.angles = octaves, angles
        maps = channels * (1 + octaves * angles + angles**2 * octaves * (octaves - 1) // 2)
        if groups and maps % groups:
            raise InputError(f"scattering has {maps} maps: groups {groups} does not divide them")
        self.groups = groups
        self.shape = (maps, size[0] // stride, size[1] // stride)
        self.embedding = math.prod(self.shape)
        padded = [(n + stride) // stride * stride + stride for n in size]
        (top, bottom), (left, right) = [((p - n) // 2, (p - n + 1) // 2) for n, p in zip(size, padded, strict=True)]
        self._margin = (left, right, top, bottom)
        self._around: dict[str, tuple[int, int]] = {}
        for coarse in range(octaves):  # images, and what wavelets left at stride 2^coarse, in blocks of 2^(J - coarse)
            for scale in range(0 if coarse == 0 else 1, octaves - coarse):
                self._add_wavelets(octaves - coarse, scale, min(padded) // stride)
        for scale in range(octaves + 1):
            low = [_lowpass(n >> scale, 0.4 * 2 ** (octaves - scale), stride >> scale) for n in padded]
            block = stride >> scale
            places = torch.kron(*low).view(-1, padded[0] // stride, block, padded[1] // stride, block)
            matrix = places.permute(2, 4, 1, 3, 0).flatten(0, 3).float().contiguous()
            matrix[matrix < NOTHING] = 0.0
            self.register_buffer(f"lowpass{scale}", matrix, persistent=False)

    def _add_wavelets(self, block: int, scale: int, blocks: int) -> None:
        weights, around = in_blocks(wavelets(scale, self.angles), 2**block, 2**scale)
        if max(around) > blocks:
            raise InputError(
                f"scattering with L = {self.angles}: its wavelets are longer than the image; use fewer angles"
            )
        self.register_buffer(f"wavelets{block}_{scale}", weights, persistent=False)
        self._around[f"wavelets{block}_{scale}"] = around

    def _modulus(self, maps: Tensor, block: int, scale: int) -> Tensor:
        """|maps ⋆ ψ| of every map on its own at all angles, one sample in 2^scale.

        In blocks: [n, 4^block, h, w] -> [n, angles, 4^(block - scale), h, w].
        """
        name = f"wavelets{block}_{scale}"
        wrapped = F.pad(maps, self._around[name] * 2, mode="circular")
        parts = F.conv2d(wrapped, self.get_buffer(name)).view(len(maps), 2, self.angles, -1, *maps.shape[2:])
        power = parts.square().sum(1)
        return power.clamp_min(1e-12).sqrt()  # the floor gives √ a gradient (none) where a map is flat

    def _average(self, maps: Tensor, scale: int) -> Tensor:
        """maps ⋆ φ, subsampled to the output and without its margin: [n, m, blocks at stride 2^scale] -> [n, m, h'·w']."""
        return maps.flatten(2) @ self.get_buffer(f"lowpass{scale}")

    def forward(self, x: Tensor) -> Tensor:
        """Scattering maps [B, maps, height / 2^J, width / 2^J] of images x [B, channels, height, width]."""
        octaves = self.octaves
        images = F.pixel_unshuffle(F.pad(x, self._margin, mode="reflect").flatten(0, 1).unsqueeze(1), 2**octaves)
        orders: tuple[list[Tensor], ...] = [self._average(images.unsqueeze(1), 0)], [], []
        for first in range(octaves):
            once = self._modulus(images, octaves, first)
            orders[1].append(self._average(once, first))
            twice = []
            for second in range(first + 1, octaves):
                # at stride 2^first the wavelet of octave `second` is the one of octave `second - first`
                maps = self._modulus(once.flatten(0, 1), octaves - first, second - first)
                twice.append(self._average(maps, second).view(len(images), self.angles, self.angles, -1))
            if twice:
                orders[2].append(torch.cat(twice, 2).flatten(1, 2))
        out = torch.cat([part for order in orders for part in order], 1).view(len(x), *self.shape)
        return F.group_norm(out, self.groups) if self.groups else out

    def embed(self, x: Tensor) -> Tensor:
        """The maps as one row per image [B, k]."""
        return self.forward(x).flatten(1)
