"""The protocol is the authors', seeds trained together are seeds trained apart, and the number says how it was made."""

import copy
import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dpcond.augment import Augment
from dpcond.errors import InputError
from dpcond.evaluate import DC, DC_BF16, DC_PLAIN, QUICK, Arrays, Protocol, evaluate, get_protocol
from dpcond.evaluate.training import _seed, accuracy, train
from dpcond.models import build

TINY = Protocol("tiny", 4, width=4, batch_size=16, learning_rate=0.05)


def toy(n: int, seed: int, classes: int = 3) -> Arrays:
    """Images whose class is the brightest row."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    x = torch.randn(n, 1, 8, 8, generator=generator) * 0.3
    x[torch.arange(n), 0, 2 * y] += 1.5
    return Arrays(x, y)


def by_hand(examples: Arrays, protocol: Protocol, seed: int, strategy: str) -> torch.nn.Module:
    """One network, the loop of VICO's evaluate_synset written out: E+1 epochs, a fresh optimiser at E//2+1."""
    model = build("convnet", (1, 8, 8), 3, _seed(seed, 0), width=protocol.width)
    order = torch.Generator().manual_seed(_seed(seed, 1))
    views = torch.Generator().manual_seed(_seed(seed, 2))
    augment = Augment(strategy, siamese=False)
    lr = protocol.learning_rate
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=0.0005)
    for epoch in range(protocol.epochs + 1):
        for indices in torch.randperm(len(examples), generator=order).split(protocol.batch_size):
            x, y = examples.batch(indices)
            loss = F.cross_entropy(model(augment(x, views)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch in [protocol.epochs // 2 + 1]:
            lr *= 0.1
            optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=0.0005)
    return model


@pytest.mark.parametrize("engine", ["loop", "vmap"])
@pytest.mark.parametrize("soft", [False, True])
def test_training_together_is_the_authors_loop_by_seed(engine, soft):
    examples, test = toy(40, 0), toy(60, 1)
    if soft:
        examples = Arrays(examples.x, F.one_hot(examples.y, 3) * 0.7 + 0.1)
    strategy = "color_crop_cutout_scale_rotate"
    ensemble = train(
        examples, TINY, "convnet", (1, 8, 8), 3, (0, 5), strategy=strategy, device="cpu", engine=engine, width=4
    )
    expected = []
    for index, seed in enumerate((0, 5)):
        model = by_hand(examples, TINY, seed, strategy)
        torch.testing.assert_close(ensemble.logits(test.x)[index], model(test.x), atol=1e-4, rtol=1e-3)
        expected.append(float((model(test.x).argmax(1) == test.y).double().mean()))
    assert accuracy(ensemble, test) == pytest.approx(expected)


def test_evaluate_learns_reports_and_repeats():
    examples, test = toy(60, 0), toy(90, 1)
    protocol = Protocol("short", 25, width=8, learning_rate=0.1, augmentation="none")
    calls = []
    before = torch.get_rng_state()
    options = {"models": ("convnet", "mlp"), "seeds": 2, "dataset": "digits", "device": "cpu"}
    result = evaluate(examples, test, 3, protocol, progress=lambda *now: calls.append(now), **options)
    assert torch.equal(before, torch.get_rng_state())
    assert result["models"]["mlp"]["mean"] > 0.9
    assert result["models"]["convnet"]["mean"] > 0.9
    assert result["protocol"] == protocol.to_json()
    assert result["select"] == "last iterate"
    assert result["labels"] == "hard"
    assert result["seeds"] == [0, 1]
    assert result["examples"] == 60
    assert calls[0] == ("convnet", 1, 26)
    assert calls[-1] == ("mlp", 26, 26)
    json.dumps(result)
    again = evaluate(examples, test, 3, protocol, **options)
    for model in ("convnet", "mlp"):
        assert result["models"][model]["accuracies"] == again["models"][model]["accuracies"]
    second = evaluate(examples, test, 3, protocol, **(options | {"models": ("mlp",), "seeds": [1]}))
    assert second["models"]["mlp"]["accuracies"] == result["models"]["mlp"]["accuracies"][1:]
    assert second["models"]["mlp"]["std"] == 0.0


def test_a_protocol_in_bfloat16_learns_as_well_and_says_so():
    examples, test = toy(60, 0), toy(90, 1)
    exact = Protocol("short", 25, width=8, learning_rate=0.1, augmentation="none")
    result = evaluate(examples, test, 3, replace(exact, precision="bfloat16"), seeds=2, device="cpu")
    assert result["protocol"]["precision"] == "bfloat16"
    assert result["models"]["convnet"]["mean"] > 0.9
    assert replace(DC_BF16, name=DC.name, precision=DC.precision, source=DC.source) == DC


def test_soft_labels_and_augmentation_are_stated():
    examples = toy(12, 0)
    soft = Arrays(examples.x, F.one_hot(examples.y, 3).float())
    protocol = Protocol("one", 1, width=4)
    result = evaluate(soft, examples, 3, protocol, seeds=1, dataset="fashion-mnist", device="cpu")
    assert result["labels"] == "soft"
    assert result["augmentation"] == "color_crop_cutout_flip_scale_rotate"


def test_tables_train_an_mlp_without_augmentation():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 5, generator=generator)
    rows = Arrays(x, (x[:, 0] > 0).long())
    protocol = Protocol("table", 40, learning_rate=0.1)
    result = evaluate(rows, rows, 2, protocol, models=("mlp",), seeds=2, device="cpu")
    assert result["augmentation"] == "none"
    assert result["models"]["mlp"]["mean"] > 0.9


def test_training_leaves_its_examples_alone():
    examples = toy(12, 0)
    kept = copy.deepcopy(examples.x)
    evaluate(examples, examples, 3, Protocol("one", 1, width=4), seeds=1, device="cpu")
    assert torch.equal(examples.x, kept)


def test_the_authors_settings():
    """methods as coded by Zhao & Bilen: SGD 0.01, momentum 0.9, weight decay 5e-4, batch 256, D3 W128, 1000 or 300."""
    for protocol, epochs, augmentation in ((DC, 1000, "dsa"), (DC_PLAIN, 300, "none")):
        assert (protocol.learning_rate, protocol.momentum, protocol.weight_decay) == (0.01, 0.9, 5e-4)
        assert (protocol.batch_size, protocol.depth, protocol.width) == (256, 3, 128)
        assert (protocol.epochs, protocol.augmentation) == (epochs, augmentation)


def test_bad_requests():
    assert get_protocol("quick") is QUICK
    with pytest.raises(InputError, match="did you mean 'quick'"):
        get_protocol("quik")
    with pytest.raises(InputError, match="at least 1"):
        Protocol("p", 0)
    with pytest.raises(InputError, match="augmentation"):
        Protocol("p", 1, augmentation="autoaugment")
    with pytest.raises(InputError, match="at least one"):
        evaluate(toy(6, 0), toy(6, 1), 3, seeds=0)
    with pytest.raises(InputError, match="normalised float"):
        Arrays(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2))
