"""E7: what can be seen: nearest neighbours, by pixels and by random features, and what taking one record out changes."""

from __future__ import annotations

import numpy as np
import torch

from attacks.measure import matrix_metrics
from attacks.procedures.convnet_dm import as_images, embed
from attacks.procedures.starts import start_rows
from attacks.records import flat
from attacks.scores.distances import closest, squared_distances
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame, cell_row
from experiments.privacy_for_free.leak import every_other_pair, flat_rates
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.shadows import CellResult, setup

BINS = 10
WIDTH = 32  # channels of the random ConvNet that stands in for a perceptual distance


def run(frame: Frame) -> Part:
    focus, few = frame.profile.focus, frame.profile.few
    cells = {
        "noise": Cell(focus, "dm", few, "noise"),
        "members": Cell(focus, "dm", few, "member"),
        "other records": Cell(focus, "dm", few, "nonmember"),
    }
    rows, ranks, pictures = [], [], []
    for start, cell in cells.items():
        result = frame.cell(cell)
        row, series = measured(frame, result, start)
        rows.append(row)
        ranks.append(series)
        if start != "other records":
            pictures += gallery(result, start)
    noise, real = rows[0], rows[1]
    uniform = noise["closer than strangers low"] <= 0.5
    return Part(
        id="E7",
        title="Do private images look private?",
        setting="DM; distance from each candidate to the closest synthetic image of its class, by pixels (L2) and by the features of a random ConvNet "
        "(in place of LPIPS, whose trained network is not shipped). Rank: where a member stands among the strangers of the same run, one half on "
        "average if nothing shows. Taken out: a member's mean distance in runs without it, over that in runs with it; the worst percent is chosen on half of "
        "the runs and measured on the other half.",
        rows=rows,
        figures=[
            Figure(
                "pictures",
                "First of each class: the synthetic image of one run, and the candidate closest to it by pixels.",
                "images",
                images=pictures,
            ),
            Figure(
                "ranks",
                "Where members rank in closeness to the release among strangers of their class: flat is what strangers would show.",
                "lines",
                "rank among strangers (0: closest)",
                "share of members, per tenth",
                ranks,
                line=(1 / BINS, "flat"),
            ),
        ],
        findings=[
            f"From noise, a member is closer to the release than a stranger in {noise['closer than strangers']:.1%} of the pairs "
            f"({noise['closer than strangers low']:.1%}–{noise['closer than strangers high']:.1%}): "
            + ("nothing shows." if uniform else "a little shows, though no picture looks like anybody."),
            f"From members, {real['own start, pixels']:.0%} of the synthetic images are closest, of all candidates, to the very image they started from "
            f"({real['own start, features']:.0%} by features).",
            f"Take a member out, and the closest synthetic image lies farther from it: by {real['taken out, median'] - 1:+.1%} for the median record and "
            f"{real['taken out, worst percent'] - 1:+.0%} for the most affected percent if the set started from members, by {noise['taken out, median'] - 1:+.1%} and "
            f"{noise['taken out, worst percent'] - 1:+.1%} if from noise.",
        ],
        numbers={"noise_rank_low": noise["closer than strangers low"], "real_own_start": real["own start, pixels"]},
        outcome="supports Dong" if uniform else "supports Carlini",
    )


def measured(frame: Frame, result: CellResult, start: str) -> tuple[Row, Series]:
    """A row of the table, and the histogram of ranks."""
    pool, member = result.pool, result.member
    distance = np.stack([closest(flat(pool.x), flat(r.x), pool.y, r.y) for r in result.releases])  # [K, n]
    targets = frame.targets(result)
    rates = flat_rates(
        matrix_metrics(-distance[:, targets], member[:, targets]),
        int(member[:, targets].sum()),
        int((~member[:, targets]).sum()),
    )
    choose = every_other_pair(len(member))
    first, rest = (taken_out(distance[runs], member[runs]) for runs in (choose, ~choose))
    worst = np.argsort(-first, kind="stable")[: max(1, len(first) // 100)]
    counts = np.histogram(ranks_among_strangers(distance, member, pool.y), bins=BINS, range=(0, 1))[0]
    row = {
        "started from": start,
        "shadows": len(member),
        "accuracy": cell_row(result)["accuracy"],
        "closer than strangers": rates["auc"],
        "closer than strangers low": rates["auc_low"],
        "closer than strangers high": rates["auc_high"],
        "taken out, median": float(np.median(taken_out(distance, member))),
        "taken out, worst percent": float(rest[worst].mean()),
        "n_in": rates["n_in"],
        "n_out": rates["n_out"],
    }
    if result.started.any():
        row |= {f"own start, {name}": share for name, share in own_start(frame, result).items()}
    middles = [(i + 0.5) / BINS for i in range(BINS)]
    return row, Series(start, middles, (counts / counts.sum()).tolist())


def taken_out(distance: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Mean distance [n] of each record to the release in the runs [K, n] without it, over that in the runs with it."""
    inside = (distance * member).sum(0) / member.sum(0)
    outside = (distance * ~member).sum(0) / (~member).sum(0)
    return np.asarray(outside / np.maximum(inside, 1e-12))


def ranks_among_strangers(distance: np.ndarray, member: np.ndarray, y: np.ndarray) -> np.ndarray:
    """For every member of every run: the share of strangers of its class that lie closer to the release."""
    found = []
    for k in range(len(member)):
        for label in np.unique(y):
            mine, theirs = (distance[k][(member[k] == inside) & (y == label)] for inside in (True, False))
            found.append(np.searchsorted(np.sort(theirs), mine) / len(theirs))
    return np.concatenate(found)


def own_start(frame: Frame, result: CellResult) -> dict[str, float]:
    """Share of synthetic images whose closest candidate is the one they started from, by pixels and by features."""
    public = setup(result.cell, frame.profile, frame.pool(result.cell.data))
    classes, pool = np.unique(public.pool.y), result.pool
    kernels = random_kernels(pool.x.shape[1])
    pool_features = embed(kernels, as_images(pool.x)).double().numpy()
    hits: dict[str, list[float]] = {"pixels": [], "features": []}
    for k, release in enumerate(result.releases):
        mine = np.flatnonzero(public.member[k])
        own = mine[start_rows(pool.y[mine], classes, result.cell.ipc, public.seeds[k])].ravel()
        features = embed(kernels, as_images(release.x)).double().numpy()
        for name, ours, theirs in (("pixels", flat(release.x), flat(pool.x)), ("features", features, pool_features)):
            hits[name].append(float((squared_distances(ours, theirs).argmin(axis=1) == own).mean()))
    return {name: float(np.mean(values)) for name, values in hits.items()}


def random_kernels(channels: int) -> list[torch.Tensor]:
    """Two layers of a public random ConvNet."""
    generator = torch.Generator().manual_seed(7)
    sizes = ((WIDTH, channels), (WIDTH, WIDTH))
    return [torch.randn(out, into, 3, 3, generator=generator) * (2.0 / (9 * into)) ** 0.5 for out, into in sizes]


def gallery(result: CellResult, start: str) -> list[tuple[str, list[list[list[float]]]]]:
    """Pictures of the first run: one synthetic image a class, and the candidate closest to each."""
    release = result.releases[0]
    chosen = [int(np.flatnonzero(release.y == label)[0]) for label in np.unique(release.y)]
    near = squared_distances(flat(release.x[chosen]), flat(result.pool.x)).argmin(axis=1)
    rows = {f"synthetic, from {start}": release.x[chosen], "closest candidate": result.pool.x[near]}
    return [(name, [np.round(image.mean(axis=0), 2).tolist() for image in images]) for name, images in rows.items()]
