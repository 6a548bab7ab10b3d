"""Scattering: equal to its definition by Fourier transforms, a function of one image, differentiable."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from dpcond.errors import InputError
from dpcond.models import Scattering
from dpcond.models.scattering import in_blocks, morlet


def images(*shape, seed=0):
    """Smooth-ish random images: what a scattering of natural images sees, without reading any."""
    x = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) * 4 - 2


def slow_scattering(image, octaves=2, angles=8):
    """One grey image by the definition, in Fourier space at full precision: [maps, h, w].

    Kymatio's conventions: reflected margins, periodic wavelets, octave j kept at every 2^j-th pixel.
    """
    stride = 2**octaves
    size = (image.shape[0] + stride) // stride * stride + stride
    before = (size - image.shape[0]) // 2
    x = np.pad(image, (before, size - image.shape[0] - before), mode="reflect")

    def periodic(n, sigma, angle, frequency, slant):
        total = np.zeros((n, n), complex)
        for row in range(-3, 4):
            for column in range(-3, 4):
                u, v = np.mgrid[row * n : row * n + n, column * n : column * n + n].astype(float)
                along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
                envelope = np.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2))
                total += envelope * np.exp(1j * frequency * along)
        return total * slant / (2 * np.pi * sigma**2)

    def wavelet(n, j, angle):
        wave = periodic(n, 0.8 * 2**j, angle, 0.75 * np.pi / 2**j, 4 / angles)
        envelope = periodic(n, 0.8 * 2**j, angle, 0.0, 4 / angles)
        return wave - envelope * wave.sum() / envelope.sum()

    def convolve(signal, kernel):
        return np.fft.ifft2(np.fft.fft2(signal) * np.fft.fft2(kernel))

    def average(signal, j):
        low = periodic(len(signal), 0.8 * 2 ** (octaves - 1 - j), 0.0, 0.0, 1.0)
        return convolve(signal, low).real[:: 2 ** (octaves - j), :: 2 ** (octaves - j)][1:-1, 1:-1]

    turns = [(angles // 2 - 1 - t) * np.pi / angles for t in range(angles)]
    zero, one, two = [average(x, 0)], [], []
    for j in range(octaves):
        for angle in turns:
            once = abs(convolve(x, wavelet(size, j, angle)))[:: 2**j, :: 2**j]
            one.append(average(once, j))
            for k in range(j + 1, octaves):
                for other in turns:
                    twice = abs(convolve(once, wavelet(len(once), k - j, other)))[:: 2 ** (k - j), :: 2 ** (k - j)]
                    two.append(average(twice, k))
    return np.stack(zero + one + two)


@pytest.mark.parametrize(("size", "octaves", "angles"), [(28, 2, 8), (30, 2, 4), (8, 1, 8), (32, 3, 4)])
def test_direct_convolutions_equal_the_definition(size, octaves, angles):
    """To 0.4 % of each order's norm: what cutting wavelets off at 2.8 standard deviations costs."""
    x = images(1, 1, size, size)
    fast = Scattering(1, (size, size), octaves, angles)(x)[0].double()
    slow = torch.tensor(slow_scattering(x[0, 0].double().numpy(), octaves, angles))
    assert fast.shape == slow.shape
    ends = [0, 1, 1 + octaves * angles, len(slow)]
    for start, end in pairwise(ends):
        error = (fast[start:end] - slow[start:end]).norm()
        assert error <= 0.004 * slow[start:end].norm()


@pytest.mark.parametrize(
    ("channels", "size", "octaves", "shape"),
    [
        (1, (28, 28), 2, (81, 7, 7)),
        (3, (32, 32), 2, (243, 8, 8)),
        (1, (8, 8), 1, (9, 4, 4)),
        (2, (12, 17), 2, (162, 3, 4)),
    ],
)
def test_shapes_are_those_of_the_literature(channels, size, octaves, shape):
    model = Scattering(channels, size, octaves)
    x = images(2, channels, *size)
    assert model(x).shape == (2, *shape) == (2, *model.shape)
    assert model.embed(x).shape == (2, model.embedding)
    assert not list(model.parameters())


@pytest.mark.parametrize(("block", "stride", "n"), [(4, 1, 3), (4, 2, 9), (4, 4, 11), (2, 1, 5), (8, 2, 7)])
def test_a_convolution_in_blocks_is_the_convolution(block, stride, n):
    kernels = torch.randn(3, n, n, generator=torch.Generator().manual_seed(0)).double()
    x = images(2, 1, 4 * block, 8 * block)
    around = torch.nn.functional.pad(x, (n // 2,) * 4, mode="circular")
    slow = torch.nn.functional.conv2d(around, kernels[:, None].float(), stride=stride)
    weights, margins = in_blocks(kernels, block, stride)
    blocks = torch.nn.functional.pad(torch.nn.functional.pixel_unshuffle(x, block), margins * 2, mode="circular")
    fast = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(blocks, weights), block // stride)
    torch.testing.assert_close(fast, slow, atol=1e-4, rtol=1e-4)


def test_channels_are_scattered_apart():
    x = images(2, 3, 16, 16)
    together = Scattering(3, (16, 16))(x)
    apart = [Scattering(1, (16, 16))(x[:, c : c + 1]) for c in range(3)]
    torch.testing.assert_close(together, torch.cat(apart, 1))


def test_wavelets_see_no_constant_and_scale_goes_through():
    """A flat image has no contrast; all orders are homogeneous, and only the average sees the sign."""
    model = Scattering(1, (16, 16))
    flat = model(torch.full((1, 1, 16, 16), 0.7))
    torch.testing.assert_close(flat[:, 0], torch.full((1, 4, 4), 0.7))
    assert flat[:, 1:].abs().max() < 1e-4
    x = images(2, 1, 16, 16)
    torch.testing.assert_close(model(3 * x), 3 * model(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(-x)[:, 1:], model(x)[:, 1:])
    assert morlet(1, 0.3, 8, 10).sum().abs() < 1e-12


def test_a_shift_moves_the_scattering_less_than_the_image():
    x = images(4, 1, 28, 28)
    shifted = x.roll(1, -1)
    model = Scattering(1, (28, 28))
    relative = (model(shifted) - model(x)).norm() / model(x).norm()
    assert relative < 0.5 * (shifted - x).norm() / x.norm()


@pytest.mark.parametrize("groups", [0, 27, 81])
def test_no_record_sees_another(groups):
    model = Scattering(1, (28, 28), groups=groups)
    x = images(5, 1, 28, 28)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(model(x.flip(0)).flip(0), model(x), atol=2e-5, rtol=1e-5)


def test_groups_are_normalised_within_a_record():
    x = images(3, 1, 28, 28)
    raw, normalised = (Scattering(1, (28, 28), groups=g)(x).view(3, 27, -1) for g in (0, 27))
    centred = raw - raw.mean(2, keepdim=True)
    spread = centred.square().mean(2, keepdim=True) + 1e-5  # the floor quietens groups without contrast
    torch.testing.assert_close(normalised, centred / spread.sqrt(), atol=1e-3, rtol=1e-3)


def test_differentiable_in_the_image_also_where_it_is_flat():
    model = Scattering(1, (8, 8), octaves=1, angles=4).double()
    assert torch.autograd.gradcheck(model, images(1, 1, 8, 8).double().requires_grad_())
    flat = torch.zeros(1, 1, 28, 28, requires_grad=True)
    Scattering(1, (28, 28), groups=81)(flat).square().sum().backward()
    assert flat.grad.isfinite().all()


def test_no_number_is_too_small_to_be_multiplied_fast():
    """Gaussian tails that float32 can only hold as denormals made a query and its gradient several times slower."""
    for name, values in Scattering(3, (32, 32), 2).named_buffers():
        sizes = values.abs()
        assert (sizes[sizes > 0] > 100 * torch.finfo(torch.float32).tiny).all(), name


@pytest.mark.parametrize(
    ("options", "message"), [({"octaves": 3}, "at least 16"), ({"octaves": 0}, "J = 0"), ({"groups": 7}, "groups 7")]
)
def test_bad_requests_are_answered_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as error:
        Scattering(1, (8, 8), **{"octaves": 1, **options})
    assert "\n" not in str(error.value)
