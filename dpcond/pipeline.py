"""From a dataset and a budget to a release: plan, then spend, then write. Or from a release to a further one, for free."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpcond import __version__
from dpcond.config import Config, PrivacyConfig, checked
from dpcond.data import Data
from dpcond.errors import InputError
from dpcond.methods import registry
from dpcond.methods.auto import AUTO, choose
from dpcond.methods.base import Progress, Run, silent
from dpcond.models import resolve_device, reuse_freed_memory
from dpcond.privacy import accountants
from dpcond.privacy.certificate import certify
from dpcond.privacy.curator import Curator
from dpcond.privacy.events import Event
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.noise import DiscreteGaussianNoise, GaussianNoise, NoiseSource, SeededEntropy
from dpcond.privacy.plan import Plan, canonical, make_plan
from dpcond.release import Release, statement, verified
from dpcond.release.lineage import check, inherit
from dpcond.spec import DataSpec

Spending = Callable[[float, float], None]
NOISE: dict[str, type[GaussianNoise] | type[DiscreteGaussianNoise]] = {
    "gaussian": GaussianNoise,
    "discrete": DiscreteGaussianNoise,
}

NOISE_WORDS = {"gaussian": "Gaussian, float64", "discrete": "discrete Gaussian on a power-of-two grid", "none": "none"}


def plan(
    spec: DataSpec, config: Config, *, noise: NoiseSource | None = None, begun: Mapping[str, Any] | None = None
) -> Plan:
    """The calibrated plan of a run. Reads public metadata only, spends nothing.

    Args:
        noise: a source other than the operating system's, for tests; it is written into the plan.
        begun: the public part of an interrupted run's plan: auto's choice is not made anew, on a busier machine.

    Raises:
        InputError: an unknown method or option, a budget outside its range, or mode free, which asks records nothing.
    """
    if config.privacy.mode == "free":
        raise InputError(
            "privacy free asks nothing of records, so it has no plan: condense a release, data = RUN/release"
        )
    name, chosen = config.method, None
    if name == AUTO and begun and "chosen" in begun:
        name, chosen = begun["method"], begun["chosen"]
    elif name == AUTO:
        choice = choose(spec, config.minutes, lambda method: _expected(method, spec, config))
        name, chosen = choice.method, f"by the rule of auto: {choice.reason}"
    method = registry.get(name, spec)
    options = method.settle(spec, config.ipc, checked(method.options, config.options, f"options of {method.name}"))
    private = config.privacy.mode == "dp"
    if private and not config.privacy.delta < 1 / spec.records:
        raise InputError(
            f"delta {config.privacy.delta:g} with {spec.records:,} declared records: a delta of 1/{spec.records} or more "
            f"allows releasing a whole record; use less than {1 / spec.records:.2g}"
        )
    public = {
        "dpcond": __version__,
        "spec": spec.to_json(),
        "method": method.name,
        "options": options.model_dump(),
        "ipc": config.ipc,
        "seed": config.seed,
        "noise": config.privacy.noise if private else "none",
        "entropy": "operating system" if noise is None or noise.entropy.private else "seeded, NOT PRIVATE",
    }
    if chosen:
        public["chosen"] = chosen
    stages = method.stages(spec, config.ipc, options)
    return make_plan(
        stages, config.privacy.epsilon, config.privacy.delta, config.privacy.adjacency, public, private=private
    )


def _expected(name: str, spec: DataSpec, config: Config) -> float:
    """Seconds that a method would take here, measured on public noise."""
    method = registry.get(name, spec)
    options = checked(method.options, config.options, f"options of {name}")
    cost = method.rehearse(spec, options, Run(config.ipc, config.seed, resolve_device(config.engine.device)))
    return cost.asking + cost.condensing


def outlook(planned: Plan, spec: DataSpec, device: str = "auto") -> tuple[list[dict[str, Any]], int]:
    """Rows for people (each stage's releases, noise, share, best signal-to-noise, time), and the bytes held at once.

    ``SNR`` is an upper bound, reached if all records agree: expected records over (noise · √dimension).
    Time is measured on public noise here and now; the last row is the method's own post-processing.
    """
    public = planned.public
    method = registry.get(public["method"], spec)
    context = Run(public["ipc"], public["seed"], resolve_device(device))
    cost = method.rehearse(spec, method.options(**public["options"]), context)
    rows = []
    for row in planned.describe():
        noise = row["noise_multiplier"] * row["dimension"] ** 0.5
        expected = spec.records * row["sampling_rate"]
        rows.append(
            {
                "stage": row["stage"],
                "releases": row["events"],
                "rate": row["sampling_rate"],
                "values": row["dimension"],
                "noise": row["noise_multiplier"],
                "share": row["share"],
                "ε alone": row["epsilon_alone"],
                "SNR ≤": expected / noise if noise else float("inf"),
                "time": "-",
            }
        )
    rows[-1]["time"] = _duration(cost.asking)
    after = dict.fromkeys(rows[0], "-")
    return [*rows, after | {"stage": "(condensing)", "time": _duration(cost.condensing)}], cost.kept


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def condense(
    data: Data | Release | str | Path,
    method: str = "auto",
    epsilon: float | None = None,
    delta: float | None = None,
    ipc: int = 10,
    *,
    privacy: str = "dp",
    adjacency: str | None = None,
    noise: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    minutes: float | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> Release:
    """Condense ``data`` into ``ipc`` synthetic records per class within (``epsilon``, ``delta``).

    Args:
        data: from :func:`dpcond.load`; with ``privacy="free"`` a release, or the path of one.
        method: ``taught``, ``dm``, ``dc``, ``mmd``, ``merf``, or ``auto``: the recommended one.
        epsilon, delta: the budget; default 1 and 1e-5.
        privacy: ``"none"`` runs without noise and promises nothing; ``"free"`` condenses the synthetic records of a
            release, which are public, without noise and under the promise that the release has.
        adjacency: ``"add_remove"`` (default), or ``"replace_one"``.
        noise: ``"gaussian"`` (default), or ``"discrete"``: hardened against attacks on floating-point noise.
        options: the method's own options.
        minutes: time that ``auto`` may plan for; default: no limit.
        seed: public; of networks and initialisation, never of noise.
        out: folder of the run, with its ledger and the release; without it, a temporary one, kept if the run fails.
        resume: go on with an interrupted run in ``out``.

    Returns:
        The release, a torch ``Dataset``; already written to ``out/release`` when ``out`` is given.

    Example:
        >>> data = dpcond.load("digits")
        >>> release = dpcond.condense(data, method="merf", epsilon=2.0, delta=1e-5, ipc=5)
        >>> release.save("my-release")
        >>> smaller = dpcond.condense("my-release", method="dc", privacy="free", ipc=1)
    """
    said = {"epsilon": epsilon, "delta": delta, "adjacency": adjacency, "noise": noise}
    budget = {name: value for name, value in said.items() if value is not None}
    tree = {
        "method": method,
        "minutes": minutes,
        "ipc": ipc,
        "seed": seed,
        "options": dict(options or {}),
        "privacy": {"mode": privacy, **budget},
        "engine": {"device": device},
    }
    return run(data, checked(Config, tree, "condense"), out, resume=resume, progress=progress)


def run(
    data: Data | Release | str | Path,
    config: Config,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    progress: Progress = silent,
    spending: Spending | None = None,
    noise: NoiseSource | None = None,
) -> Release:
    """Carry a configuration out; see :func:`condense`.

    Args:
        spending: called about once a second with ε spent so far and ε of the whole plan, both by the fast accountant
            that tracks the run (exact, or RDP, which is looser than the certificate).
        noise: a seeded source for tests; it stamps the release as not private.

    Raises:
        InputError: the folder is in use, the budget or the options changed since the interrupted run, and the like.
    """
    if not isinstance(data, Data):
        if resume:
            raise InputError("privacy free spends nothing and leaves nothing to resume: start it again in a new folder")
        return _free(data, config, None if out is None else Path(out), progress)
    if out is None:
        scratch = Path(tempfile.mkdtemp(prefix="dpcond-"))
        try:
            release = _run(data, config, scratch, False, progress, spending, noise)
        except BaseException as error:
            if not (scratch / "ledger.jsonl").exists():
                shutil.rmtree(scratch, ignore_errors=True)
            else:  # what was spent must not vanish with the run
                error.add_note(f"what was spent is in {scratch}; go on with out={str(scratch)!r}, resume=True")
            raise
        shutil.rmtree(scratch, ignore_errors=True)  # the release carries the ledger
        return release
    release = _run(data, config, Path(out), resume, progress, spending, noise)
    release.save(Path(out) / "release")
    return release


def _run(
    data: Data,
    config: Config,
    folder: Path,
    resume: bool,
    progress: Progress,
    spending: Spending | None,
    noise: NoiseSource | None,
) -> Release:
    spec, device = data.spec, resolve_device(config.engine.device)
    reuse_freed_memory()
    planned = plan(spec, config, noise=noise, begun=_begun(folder) if resume else None)
    source = noise or noise_source(config)
    if (folder / "release").exists():
        raise InputError(f"{folder / 'release'} already exists: this run is finished; give another folder (--out)")
    with _open(folder, planned, resume) as ledger:
        curator = Curator(
            spec,
            planned,
            data.records,
            ledger,
            noise=source,
            answers=folder / "answers",
            device=device,
            batch=config.engine.batch,
            on_release=None if spending is None else _tracker(ledger, planned, spending),
        )
        method, x, y, soft_labels = _synthesise(
            curator, Run(config.ipc, config.seed, device, progress, folder / "checkpoints")
        )
        promise = statement(
            planned,
            ledger.events(),
            certify(planned.events(), planned.delta, planned.adjacency),
            spec,
            noise=NOISE_WORDS[planned.public["noise"]]
            + (f"; entropy: {planned.public['entropy']}" if planned.private else ""),
            noise_private=planned.private and source.entropy.private,
        )
        return Release(x, y, spec, promise, method, _about(planned), soft_labels, ledger.path)


def _synthesise(curator: Curator, context: Run) -> tuple[str, Tensor, Tensor, Tensor | None]:
    """What the planned method makes of a curator's answers: its name, records, labels and soft labels."""
    public = curator.plan.public
    method = registry.get(public["method"], curator.spec)
    synthetic = method.condense(curator, method.options(**public["options"]), context)
    with torch.no_grad():
        x, y = synthetic.clamp_().decode()
    return method.name, x, y, synthetic.soft_labels


def _free(source: Release | str | Path, config: Config, out: Path | None, progress: Progress) -> Release:
    """Condense a verified release once more. Its records are public, so they need no noise and cost nothing.

    No :class:`Data` gets here: what the curator answers from is what :func:`verified` has read. Answers and ledger of this
    run protect nothing and vanish with it.
    """
    if config.privacy.mode != "free" or not isinstance(source, Release | str | Path):
        what = f"{source}" if isinstance(source, str | Path) else type(source).__name__  # never what it holds
        raise InputError(f"{what} as data: load private records with dpcond.load; a release needs privacy='free'")
    if out is not None:
        _refuse_in_use(out, source)
    device = resolve_device(config.engine.device)
    reuse_freed_memory()
    with tempfile.TemporaryDirectory(prefix="dpcond-") as scratch:
        folder, found = Path(scratch) / "run", verified(source, Path(scratch) / "source")
        open_config = config.model_copy(update={"privacy": PrivacyConfig(mode="none")})
        spec = found.spec()
        planned = plan(spec, open_config)
        with _open(folder, planned, False) as ledger:
            curator = Curator(
                spec,
                planned,
                found,
                ledger,
                noise=noise_source(open_config),
                answers=folder / "answers",
                device=device,
                batch=config.engine.batch,
            )
            context = Run(config.ipc, config.seed, device, progress, folder / "checkpoints")
            method, x, y, soft_labels = _synthesise(curator, context)
        first, options = found.release, _about(planned)
        promise = inherit(found.privacy, found.manifest, method, options)
        release = Release(x, y, first.spec, promise, method, options, soft_labels, first.ledger)
        check(release)
    if out is not None:
        release.save(out / "release")
    return release


def _refuse_in_use(out: Path, source: Release | str | Path) -> None:
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is not empty: give a new or empty folder")
    if not isinstance(source, Release) and Path(source).expanduser().resolve() in out.resolve().parents:
        raise InputError(f"{out} is inside the release {source}: give another folder (--out)")


def _tracker(ledger: Ledger, planned: Plan, spending: Spending) -> Callable[[str, int], None]:
    def tracked(events: tuple[Event, ...]) -> float:
        known = accountants.exact(events, planned.delta, planned.adjacency) if planned.private else None
        return accountants.rdp(events, planned.delta, planned.adjacency) if known is None else known

    whole, last = tracked(planned.events()), 0.0

    def released(stage: str, index: int) -> None:
        nonlocal last
        if time.monotonic() - last > 1 or index + 1 == planned.stage(stage).count:
            last = time.monotonic()
            spending(tracked(ledger.events()), whole)

    return released


def _about(planned: Plan) -> dict[str, Any]:
    return {"ipc": planned.public["ipc"], "seed": planned.public["seed"], **planned.public["options"]}


def noise_source(config: Config) -> NoiseSource:
    """The wall's noise as configured."""
    if config.privacy.mode == "none":  # nothing is promised, so that a public seed can give the same bytes again
        return GaussianNoise(SeededEntropy(config.seed))
    return NOISE[config.privacy.noise]()


def _begun(folder: Path) -> Mapping[str, Any] | None:
    """What the plan of an interrupted run says in public; the ledger decides later whether it is that run's plan."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        public: Mapping[str, Any] = json.loads((folder / "plan.json").read_text())["public"]
        return public
    return None


def _open(folder: Path, planned: Plan, resume: bool) -> Ledger:
    """The run's ledger, new or resumed; a folder that holds something else is left alone."""
    path = folder / "ledger.jsonl"
    if resume and path.exists():
        return Ledger.resume(path, planned)
    if folder.is_dir() and any(folder.iterdir()):
        fix = "to go on with it, resume (--resume, resume=True)" if path.exists() else "give a new or empty folder"
        raise InputError(f"{folder} is not empty: {fix}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not planned.private:
            (folder / "NOT_PRIVATE").write_text(
                "This run has no noise: its answers and checkpoints are private data.\n"
            )
        (folder / "plan.json").write_text(json.dumps(json.loads(canonical(planned.to_json())), indent=1) + os.linesep)
    except OSError as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror}; nothing was spent, give another folder (--out)"
        ) from None
    return Ledger.create(path, planned)
