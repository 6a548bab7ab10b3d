"""Train many students at once: their weights are stacked and one vmapped step trains them all, each on its own released set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from attacks.errors import InputError
from attacks.records import Records
from attacks.release_set import ReleaseSet, array_hash
from attacks.students.networks import build

STEPS, RATE = 100, 0.01
CHUNK = 256  # queried records at a time


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained students: stacked weights [E, ...], and the hash of the tensor that each was in fact trained on."""

    network: nn.Module
    weights: dict[str, Tensor]
    trained_on: tuple[str, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Logits [E, N, classes] of the same records [N, ...] under every student, where its weights lie."""
        x = x.to(next(iter(self.weights.values())).device)
        return vmap(lambda weights, z: functional_call(self.network, weights, (z,)), in_dims=(0, None))(self.weights, x)


def train(
    releases: Sequence[ReleaseSet],
    per_release: int,
    seed: int,
    steps: int = STEPS,
    network: str = "mlp",
    device: str = "cpu",
) -> Ensemble:
    """`per_release` students on each released set, E = releases × per_release, by full-batch Adam.

    Sets may differ in size: shorter ones are padded with records of weight 0. Soft labels are used where released.
    Raises InputError if a set's tensor is not, bit for bit, the one that reached the optimiser.
    """
    shape = image_shape(releases[0].x.shape[1:])
    classes = max(max(int(r.y.max()) + 1, 0 if r.soft is None else r.soft.shape[1]) for r in releases)
    sets = [release for release in releases for _ in range(per_release)]
    x, targets, share = (part.to(device) for part in _padded(sets, shape, classes))
    skeleton, weights = _students(network, shape, classes, len(sets), seed, device)
    optimiser = torch.optim.Adam(weights.values(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    forward = vmap(lambda w, z: functional_call(skeleton, w, (z,)))
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss = -(F.log_softmax(forward(weights, x), dim=-1) * targets).sum(-1)
        (loss * share).sum().backward()  # students are independent: the gradient of a sum is each one's own
        optimiser.step()
        schedule.step()
    trained = tuple(array_hash(x[e, : len(s)].reshape(s.x.shape).cpu().numpy()) for e, s in enumerate(sets))
    ensemble = Ensemble(skeleton, {name: w.detach() for name, w in weights.items()}, trained)
    assert_trained_on(ensemble, sets)
    return ensemble


def assert_trained_on(ensemble: Ensemble, sets: Sequence[ReleaseSet]) -> None:
    """Refuse students that were trained on anything but the released sets (one published attack used the initial images)."""
    for index, (trained, release) in enumerate(zip(ensemble.trained_on, sets, strict=True)):
        if trained != release.hash:
            raise InputError(
                f"student {index} was trained on a tensor that is not the released set: its scores would mislead"
            )


@torch.no_grad()
def log_odds(ensemble: Ensemble, records: Records) -> np.ndarray:
    """φ = log p_y − log Σ_{j≠y} p_j [E, N] in float64, by logsumexp of the other classes; a class no student knows has p = 0."""
    return np.concatenate([_log_odds(z, y) for z, y in _logits(ensemble, records)], axis=1)


def _log_odds(logits: Tensor, y: Tensor) -> np.ndarray:
    unknown = int(y.max()) + 1 - logits.shape[-1]
    if unknown > 0:
        logits = F.pad(logits, (0, unknown), value=-torch.inf)
    own = y.expand(len(logits), -1)[..., None]
    others = logits.scatter(-1, own, -torch.inf).logsumexp(-1)
    return (logits.gather(-1, own)[..., 0] - others).numpy()


def _logits(ensemble: Ensemble, records: Records) -> list[tuple[Tensor, Tensor]]:
    x = torch.from_numpy(records.x).reshape(len(records), *image_shape(records.x.shape[1:]))
    y = torch.from_numpy(records.y)
    return [
        (ensemble(part).double().cpu(), labels) for part, labels in zip(x.split(CHUNK), y.split(CHUNK), strict=True)
    ]


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """[H, W] gets its channel axis."""
    return (1, *shape) if len(shape) == 2 else tuple(shape)


def _padded(sets: list[ReleaseSet], shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """x [E, m, ...], target distributions [E, m, classes] and the share [E, m] of each record in its set's mean loss."""
    size = max(len(s) for s in sets)
    x, targets = torch.zeros(len(sets), size, *shape), torch.zeros(len(sets), size, classes)
    share = torch.zeros(len(sets), size)
    for e, release in enumerate(sets):
        n = len(release)
        x[e, :n] = torch.from_numpy(release.x).reshape(n, *shape)
        targets[e, :n] = _targets(release, classes)
        share[e, :n] = 1.0 / n
    return x, targets, share


def _targets(release: ReleaseSet, classes: int) -> Tensor:
    if release.soft is None:
        return F.one_hot(torch.from_numpy(release.y), classes).float()
    soft = torch.from_numpy(release.soft)
    if (soft < 0).any() or not torch.allclose(soft.sum(1), torch.ones(len(soft)), atol=1e-3):
        soft = soft.softmax(1)  # released as logits
    return F.pad(soft, (0, classes - soft.shape[1]))


def _students(
    kind: str, shape: tuple[int, ...], classes: int, count: int, seed: int, device: str
) -> tuple[nn.Module, dict[str, Tensor]]:
    """A stateless network and the stacked initial weights of `count` students, without touching the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = [build(shape, classes, kind) for _ in range(count)]
    weights, _ = stack_module_state(networks)
    return networks[0].to("meta"), {
        name: w.detach().clone().to(device).requires_grad_(True) for name, w in weights.items()
    }
