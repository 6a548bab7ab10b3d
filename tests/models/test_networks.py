"""The networks are the field's: their sizes, their blocks, their seeded start, and no record sees another."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dpcond.errors import InputError
from dpcond.models import MODELS, ConvNet, build, computing, fastest, initialise, resolve_device
from dpcond.models.convnet import Halving

MNIST, CIFAR, DIGITS = (1, 28, 28), (3, 32, 32), (1, 8, 8)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "parameters", "embedding"),
    [  # measured on the networks of VICO-UoE/DatasetCondensation
        ("convnet", MNIST, 317_706, 2048),
        ("convnet", CIFAR, 320_010, 2048),
        ("mlp", MNIST, 118_282, 128),
        ("mlp", CIFAR, 411_146, 128),
        ("lenet", MNIST, 61_706, 84),
        ("lenet", CIFAR, 62_006, 84),
        ("resnet18", CIFAR, 11_173_962, 512),
    ],
)
def test_sizes_are_those_of_the_literature(name, shape, parameters, embedding):
    model = build(name, shape, 10, seed=0)
    assert count(model) == parameters
    assert model.embedding == embedding
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    features = model.embed(x)
    assert features.shape == (2, embedding)
    torch.testing.assert_close(model(x), model.classifier(features))


def test_matching_weights_of_the_convnet():
    """What gradient matching compares: 316,544 weights with more than one dimension, in 394 rows."""
    weights = [p for p in build("convnet", MNIST, 10, 0).parameters() if p.ndim > 1]
    assert (sum(p.numel() for p in weights), sum(len(p) for p in weights)) == (316_544, 394)


def test_convnet_is_the_obvious_formula():
    model = build("convnet", MNIST, 10, seed=3, width=8)
    x = torch.randn(3, *MNIST, generator=torch.Generator().manual_seed(1))
    p = list(model.parameters())
    h = x
    for block in range(3):
        h = F.conv2d(h, p[4 * block], p[4 * block + 1], padding=3 if block == 0 else 1)
        mean, var = h.mean((2, 3), keepdim=True), h.var((2, 3), keepdim=True, correction=0)
        h = (h - mean) / (var + 1e-5).sqrt() * p[4 * block + 2].view(-1, 1, 1) + p[4 * block + 3].view(-1, 1, 1)
        h = F.avg_pool2d(h.clamp(min=0), 2)
        assert h.shape[-1] == 32 // 2 ** (block + 1)
    torch.testing.assert_close(model(x), h.flatten(1) @ p[12].T + p[13], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [2, 5, 8])
def test_halving_is_average_pooling(side):
    x = torch.randn(2, 3, side, side + 1, generator=torch.Generator().manual_seed(0), requires_grad=True)
    torch.testing.assert_close(Halving()(x), F.avg_pool2d(x, 2))
    ours, theirs = (torch.autograd.grad(pooled.square().sum(), x)[0] for pooled in (Halving()(x), F.avg_pool2d(x, 2)))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_computes_in_the_precision_that_was_asked_and_learns_in_float32(precision):
    """bfloat16 keeps eight bits: near the float32 result, not equal to it; outside nothing has changed."""
    model = build("convnet", MNIST, 10, 0, width=16)
    x = torch.randn(4, *MNIST, generator=torch.Generator().manual_seed(1))
    exact = model(x)
    with computing(precision, torch.device("cpu")):
        found = model(x)
        found.float().logsumexp(1).sum().backward()
    assert torch.equal(found, exact) == (precision == "float32")
    assert (found - exact).abs().max() < 0.05 * exact.abs().max()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())
    assert torch.equal(model(x), exact)
    assert fastest(torch.device("cpu")) in ("float32", "bfloat16")


@pytest.mark.parametrize(
    ("depth", "norm", "pooling"), [(1, "none", "max"), (2, "group", "avg"), (3, "instance", "none")]
)
def test_variants_have_the_embedding_they_claim(depth, norm, pooling):
    model = build("convnet", DIGITS, 10, 0, width=4, depth=depth, norm=norm, pooling=pooling)
    assert model.embed(torch.zeros(1, *DIGITS)).shape == (1, model.embedding)


def test_small_images_work_or_say_why():
    assert build("convnet", DIGITS, 10, 0).embedding == 128
    with pytest.raises(InputError, match="use depth 3 or less"):
        build("convnet", DIGITS, 10, 0, depth=4)
    with pytest.raises(InputError, match="at least 16×16"):
        build("lenet", DIGITS, 10, 0)
    with pytest.raises(InputError, match="at least 16×16"):
        build("resnet18", DIGITS, 10, 0)


@pytest.mark.parametrize("name", MODELS)
def test_no_network_couples_records(name):
    """The output of a record is the same alone and in company, so a per-record gradient means something."""
    model = build(name, (1, 16, 16), 10, 0).train()
    x = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x)[:1], model(x[:1]), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_start_is_seeded_and_leaves_the_global_generator_alone(name):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, again, other = (build(name, (1, 16, 16), 10, seed) for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_start_is_distributed_as_torch_starts():
    """Uniform in ±1/√fan_in for weights and biases, as torch's layers start; normalisation starts as identity."""
    model = build("convnet", CIFAR, 10, 0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            assert 0.98 * bound < module.weight.abs().max() <= bound
            assert module.bias.abs().max() <= bound
            assert abs(float(module.weight.detach().std()) / bound - 3**-0.5) < 0.01
        elif isinstance(module, nn.GroupNorm):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_a_layer_without_a_seeded_start_is_not_left_to_chance():
    with pytest.raises(TypeError, match="Embedding"):
        initialise(nn.Embedding(2, 2), 0)


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("convnte", MNIST, {}, "did you mean 'convnet'"),
        ("zzz", MNIST, {}, "choose one of convnet"),
        ("convnet", (14,), {}, "use 'mlp' for tables"),
        ("convnet", MNIST, {"widht": 3}, "widht"),
        ("convnet", MNIST, {"norm": "batch"}, "norm 'batch'"),
        ("convnet", MNIST, {"pooling": "sum"}, "pooling 'sum'"),
        ("convnet", MNIST, {"norm": "group", "width": 6}, "multiple of 4"),
        ("convnet", MNIST, {"depth": 0}, "at least 1"),
    ],
)
def test_bad_requests_are_answered_in_one_line(name, shape, options, message):
    with pytest.raises(InputError, match=message) as error:
        build(name, shape, 10, 0, **options)
    assert "\n" not in str(error.value)


def test_mlp_takes_tables():
    assert build("mlp", (14,), 2, 0)(torch.zeros(3, 14)).shape == (3, 2)


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="expected 'auto'"):
        resolve_device("gpu")
    with pytest.raises(InputError, match="CUDA devices here"):
        resolve_device("cuda:99")


def test_convnet_can_be_used_directly():
    assert ConvNet(3, 10, (32, 32), width=4)(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_stem_multiplies_patches_where_that_is_faster_and_finds_the_same(channels: int) -> None:
    stem = build("convnet", (channels, 28, 28), 10, 0, device="cpu", width=8).features[0]
    plain = torch.nn.Conv2d(channels, 8, 3, padding=3)
    plain.load_state_dict(stem.state_dict())
    images = torch.randn(4, channels, 28, 28, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(4, 8, 32, 32, generator=torch.Generator().manual_seed(1))
    found = []
    for convolution in (stem, plain):
        x = images.clone().requires_grad_()
        with computing("bfloat16", x.device):
            maps = convolution(x)
            (maps.float() * weights).sum().backward()
        assert maps.dtype == torch.bfloat16
        assert maps.is_contiguous()
        found.append((maps.float(), x.grad, convolution.weight.grad, convolution.bias.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * theirs.abs().max().item())  # 8 bits
    torch.testing.assert_close(stem(images), plain(images))
