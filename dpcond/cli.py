"""The command line: parse, call, render. Every command answers --help at once; libraries load when they are needed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpcond.errors import AnswerLost, InputError

if TYPE_CHECKING:
    from dpcond.config import Config
    from dpcond.data import Data

LOG_SECONDS = 30.0

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Condense a private dataset into a tiny synthetic one that is provably differentially private.\n\n"
    "A first run: **dpcond condense --data digits --epsilon 2 --out run**, then **dpcond evaluate run/release --data digits** "
    "and **dpcond verify run/release**.",
)

# -- options shared by commands ------------------------------------------------------------------------------------

DATA = Annotated[str, typer.Option("--data", help="A built-in dataset (dpcond datasets) or a path to your own.")]
DATA_OR_RELEASE = Annotated[
    str, typer.Option("--data", help="A built-in dataset, a path to your own, or with --privacy free a release.")
]
ROOT = Annotated[Path | None, typer.Option("--data-root", help="Folder of built-in datasets; default $DPCOND_DATA.")]
RECORDS = Annotated[int | None, typer.Option(help="Your data: declared (public, nominal) number of records.")]
CLASSES = Annotated[str | None, typer.Option(help="Your data: declared classes, a number or names with commas.")]
SCHEMA = Annotated[Path | None, typer.Option(help="Your table: TOML schema with declared bounds and categories.")]
TEST = Annotated[Path | None, typer.Option("--test-data", help="Your data: test records, for evaluation only.")]
COUNTS = Annotated[
    bool,
    typer.Option("--public-counts", help="Declare the exact number of records per class public (as benchmarks do)."),
]
METHOD = Annotated[
    str | None,
    typer.Option("--method", "-m", help="Condensation method (dpcond methods). Default auto: the recommended one."),
]
EPSILON = Annotated[float | None, typer.Option("--epsilon", "-e", help="Privacy budget, 0.05 to 100. Default 1.")]
DELTA = Annotated[float | None, typer.Option(help="Failure probability, below 1/records. Default 1e-5.")]
ADJACENCY = Annotated[str | None, typer.Option(help="add_remove (default) or replace_one.")]
PRIVACY = Annotated[
    str | None,
    typer.Option(
        help="dp (default); none: no noise, no promise, same code; free: condense a release once more, at no cost."
    ),
]
NOISE = Annotated[str | None, typer.Option(help="gaussian (default), or discrete: hardened against float attacks.")]
IPC = Annotated[
    int | None,
    typer.Option(help="Synthetic records per class. Default 10. In colour, taught stores four examples in each."),
]
SEED = Annotated[int | None, typer.Option(help="Public seed of networks and initialisation; never of noise.")]
DEVICE = Annotated[str | None, typer.Option(help="cpu, cuda or auto (default).")]
CONFIG = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file: method, ipc, seed, minutes, [privacy] (mode, epsilon, ...), [options] of the method, [engine].",
    ),
]
SET = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any setting, e.g. --set networks=50 (of the method: dpcond methods NAME), --set minutes=10, "
        "--set engine.batch=64. Repeatable.",
    ),
]


def main() -> None:
    """Entry point: bad input is one line on stderr and status 2; nothing else is caught."""
    # Waiting threads should sleep (read when torch is loaded): spinning beside other work costs small networks tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(standalone_mode=True)
    except (InputError, AnswerLost) as error:
        print(f"dpcond: {error}", file=sys.stderr)
        sys.exit(2)


def _load(
    data: str,
    root: Path | None,
    records: int | None,
    classes: str | None,
    schema: Path | None,
    counts: bool = False,
    test: Path | None = None,
) -> Data:
    from dpcond.data import load

    if _is_release(data):
        raise InputError(f"{data} is a release: --data is the data that it was made from")
    declared = _classes(classes)
    return load(data, root, public_counts=counts, records=records, classes=declared, schema=schema, test=test)


def _is_release(data: str) -> bool:
    return (Path(data) / "manifest.json").is_file()


def _classes(text: str | None) -> int | list[str] | None:
    if text is None:
        return None
    return int(text) if text.isdigit() else [name.strip() for name in text.split(",")]


def _config(file: Path | None, settings: list[str] | None, **given: Any) -> Config:
    from dpcond.config import load_config

    keys = {
        "epsilon": "privacy.epsilon",
        "delta": "privacy.delta",
        "adjacency": "privacy.adjacency",
        "privacy": "privacy.mode",
        "noise": "privacy.noise",
        "device": "engine.device",
    }
    stated = {keys.get(name, name): value for name, value in given.items() if value is not None}
    return load_config(file, settings or [], stated)


def _table(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)


@contextmanager
def _progress() -> Iterator[tuple[Callable[[int, int, str], None], Callable[[float, float], None]]]:
    """A bar with time left and ε spent; yields the callbacks for (done, total, message) and for ε."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[spent]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, refresh_per_second=2) as bar:
        tasks: dict[str, Any] = {}
        spent, logged = "", time.monotonic()

        def advance(done: int, total: int, message: str) -> None:
            nonlocal logged
            if message not in tasks:
                tasks[message] = bar.add_task(message, total=total, spent=spent)
            bar.update(tasks[message], completed=done, total=total, spent=spent)
            if not console.is_terminal and time.monotonic() - logged > LOG_SECONDS:  # a log gets lines, not a bar
                logged = time.monotonic()
                left = next(task.time_remaining for task in bar.tasks if task.id == tasks[message])
                console.print(f"{message} {done}/{total}, {left or 0:.0f} s left {spent}")

        def spend(epsilon: float, whole: float) -> None:
            nonlocal spent
            spent = "not private" if whole == float("inf") else f"ε tracked {epsilon:.3f} of {whole:.3f}"

        yield advance, spend


# -- commands ------------------------------------------------------------------------------------------------------


@app.command()
def datasets() -> None:
    """List the built-in datasets."""
    from dpcond.data import describe

    _table("datasets", describe())


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="A method, for its options.")] = None,
) -> None:
    """List the methods, or the options of one."""
    from dpcond.methods import registry
    from dpcond.methods.auto import AUTO, RULE

    if name is None:
        rows = [{"method": m.name, "what it does": m.summary, "source": m.source} for m in registry.METHODS.values()]
        rows.insert(0, {"method": AUTO, "what it does": "the recommended one for the data, by rule", "source": "ours"})
        _table("methods", rows)
        return
    if name == AUTO:
        typer.echo("auto: " + RULE)
        return
    fields = registry.get(name).options.model_fields
    _table(
        f"options of {name} (--set key=value)",
        [{"key": k, "default": f.default, "meaning": f.description} for k, f in fields.items()],
    )


@app.command()
def doctor() -> None:
    """Check this installation: versions, device, secure randomness, and accountants against known values."""
    from dpcond.diagnosis import diagnose

    rows = diagnose()
    _table("doctor", rows)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


@app.command(name="plan")
def plan_command(
    data: DATA,
    data_root: ROOT = None,
    method: METHOD = None,
    epsilon: EPSILON = None,
    delta: DELTA = None,
    ipc: IPC = None,
    adjacency: ADJACENCY = None,
    privacy: PRIVACY = None,
    noise: NOISE = None,
    seed: SEED = None,
    device: DEVICE = None,
    records: RECORDS = None,
    classes: CLASSES = None,
    schema: SCHEMA = None,
    public_counts: COUNTS = False,
    config: CONFIG = None,
    set_: SET = None,
) -> None:
    """Show what a run would ask, with which noise, for how much of the budget. Spends nothing; your own files are read
    and checked, and only what is declared of them is used."""
    from dpcond.data import describe_spec
    from dpcond.pipeline import outlook, plan
    from dpcond.privacy.certificate import certify

    chosen = _config(
        config,
        set_,
        method=method,
        epsilon=epsilon,
        delta=delta,
        ipc=ipc,
        adjacency=adjacency,
        privacy=privacy,
        noise=noise,
        seed=seed,
        device=device,
    )
    if _is_release(data):
        raise InputError(
            f"{data} is a release: condensing it with --privacy free asks nothing of records, so there is no plan"
        )
    spec = describe_spec(
        data, data_root, public_counts=public_counts, records=records, classes=_classes(classes), schema=schema
    )
    planned = plan(spec, chosen)
    rows, kept = outlook(planned, spec, chosen.engine.device)
    _table(f"{planned.public['method']} on {spec.name}, {chosen.ipc} records per class", rows)
    if "chosen" in planned.public:
        typer.echo(f"method {planned.public['method']} chosen {planned.public['chosen']}")
    for stage in planned.stages:
        typer.echo(f"{stage.name}: {stage.purpose}")
    typer.echo(f"answers and networks held: about {kept / 2**20:.0f} MiB")
    found = certify(planned.events(), planned.delta, planned.adjacency)
    if not found.private:
        typer.echo("NOT PRIVATE: no noise, no clip, epsilon = inf")
        return
    stated = ", ".join(f"{name} {e:.4f}" for name, e in found.accountants.items() if e is not None)
    typer.echo(
        f"epsilon = {found.epsilon:g} at delta = {found.delta:g} ({found.adjacency}), quoted from {found.quoted}"
    )
    typer.echo(f"accountants: {stated}")


@app.command()
def condense(
    data: DATA_OR_RELEASE,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; the release goes to OUT/release.")],
    data_root: ROOT = None,
    method: METHOD = None,
    epsilon: EPSILON = None,
    delta: DELTA = None,
    ipc: IPC = None,
    adjacency: ADJACENCY = None,
    privacy: PRIVACY = None,
    noise: NOISE = None,
    seed: SEED = None,
    device: DEVICE = None,
    records: RECORDS = None,
    classes: CLASSES = None,
    schema: SCHEMA = None,
    public_counts: COUNTS = False,
    config: CONFIG = None,
    set_: SET = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in OUT; there must be one.")
    ] = False,
) -> None:
    """Condense a dataset under a privacy budget and write the release."""
    from dpcond.pipeline import run

    chosen = _config(
        config,
        set_,
        method=method,
        epsilon=epsilon,
        delta=delta,
        ipc=ipc,
        adjacency=adjacency,
        privacy=privacy,
        noise=noise,
        seed=seed,
        device=device,
    )
    free = chosen.privacy.mode == "free"
    if free and (data_root or records or classes or schema or public_counts):
        raise InputError(
            "--privacy free: a release declares its data itself; leave --records, --classes and the like out"
        )
    if resume and not free and not (out / "ledger.jsonl").is_file():
        raise InputError(
            f"{out} holds no interrupted run to go on with: check the folder, or leave --resume out to start one"
        )
    if not free and _is_release(data):
        raise InputError(f"{data} is a release: condense it once more, at no cost, with --privacy free")
    loaded = data if free else _load(data, data_root, records, classes, schema, public_counts)
    try:
        with _progress() as (advance, spend):
            release = run(loaded, chosen, out, resume=resume, progress=advance, spending=spend)
    except KeyboardInterrupt:
        if not free and (out / "ledger.jsonl").is_file():
            typer.echo(f"interrupted; {out} holds what was spent: go on with the same command and --resume", err=True)
        raise
    promise = (
        f"epsilon = {release.epsilon:g}, delta = {release.privacy['delta']:g}" if release.private else "NOT PRIVATE"
    )
    typer.echo(f"{len(release)} synthetic records, {promise}")
    typer.echo(
        f"look at {out}/release/preview.png, read {out}/release/card.md, check with: dpcond verify {out}/release"
    )


@app.command()
def evaluate(
    release: Annotated[Path, typer.Argument(help="A release folder.")],
    data: DATA,
    data_root: ROOT = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Images: quick (default, a tenth of the work), dc (the field's own: 1000 epochs, width 128), dc-bf16 (dc in "
            "bfloat16), dc-plain (no augmentation) or full (for many records)."
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            help="With commas. Images: convnet (default), mlp, lenet, resnet18. Tables: logistic, forest, boosting "
            "(default: all)."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Networks trained per model.")] = 5,
    baselines: Annotated[
        bool,
        typer.Option(
            help="Train the baselines too. They read real data, two of them at epsilon each: to publish them costs three times epsilon."
        ),
    ] = True,
    device: DEVICE = None,
    test_data: TEST = None,
    records: RECORDS = None,
    classes: CLASSES = None,
    schema: SCHEMA = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write metrics.json here.")] = None,
) -> None:
    """Train networks on a release, test them on real test data, beside baselines."""
    from dpcond.evaluate.comparison import compare
    from dpcond.release import Release

    loaded = _load(data, data_root, records, classes, schema, test=test_data)
    names = None if models is None else [name.strip() for name in models.split(",")]
    with _progress() as (advance, _):
        metrics = compare(
            Release.load(release),
            loaded,
            protocol,
            models=names,
            seeds=seeds,
            baselines=baselines,
            device=device or "auto",
            progress=advance,
        )
    _table(str(release), metrics["table"])
    if json_file is not None:
        _write_json(json_file, metrics)


def _write_json(path: Path, value: Any) -> None:
    try:
        path.write_text(json.dumps(value, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


@app.command()
def verify(release: Annotated[Path, typer.Argument(help="A release folder.")]) -> None:
    """Check a release: hashes, ledger, and epsilon recomputed from the ledger alone. Status 1 if anything fails."""
    from dpcond.release import Release
    from dpcond.release import verify as check
    from dpcond.release.privacy_statement import in_words

    if not release.is_dir():
        raise InputError(f"{release}: no such folder; a release is RUN/release")
    report = check(release)
    _table(
        str(release), [{"check": c.name, "holds": "yes" if c.ok else "NO", "found": c.detail} for c in report.checks]
    )
    typer.echo(f"verified: {in_words(Release.load(release).privacy)}" if report.ok else "NOT VERIFIED")
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def audit(
    release: Annotated[Path, typer.Argument(help="A release folder.")],
    data: DATA,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for audit.json and (but for mechanism) audit.html.")],
    data_root: ROOT = None,
    threat: Annotated[
        str, typer.Option(help="What the attacker has: release, student (and a recipe), procedure, or mechanism.")
    ] = "release",
    attacks: Annotated[str | None, typer.Option(help="Names, with commas; default all that fit.")] = None,
    members: Annotated[
        int, typer.Option(min=20, help="Records attacked (procedure: the pool, half of it members).")
    ] = 2000,
    shadows: Annotated[int, typer.Option(min=8, help="Condensations of random halves of the pool (procedure).")] = 64,
    canaries: Annotated[int, typer.Option(min=0, help="Planted records of each family (procedure).")] = 0,
    students: Annotated[
        int | None, typer.Option(help="Networks trained per release; default 8 for student, else 0.")
    ] = None,
    runs: Annotated[int, typer.Option(min=100, help="Fresh runs of the wall (mechanism).")] = 50_000,
    workers: Annotated[int, typer.Option(min=1, help="Processes for condensations that cannot be batched.")] = 1,
    resume: Annotated[bool, typer.Option(help="Use the finished shadows in OUT.")] = True,
    seed: SEED = None,
    test_data: TEST = None,
    records: RECORDS = None,
    classes: CLASSES = None,
    schema: SCHEMA = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A change to what is condensed anew (procedure), e.g. --set steps=500. Repeatable."),
    ] = None,
) -> None:
    """Attack a release, its procedure or the wall itself, and hold the claimed epsilon against what was measured.

    Threat mechanism attacks one full-data answer of the wall at the release's epsilon, not the plan that dpcond verify checks."""
    from dpcond.auditing import audit_release

    loaded = _load(data, data_root, records, classes, schema, test=test_data)
    names = None if attacks is None else [name.strip() for name in attacks.split(",")]
    with _progress() as (advance, _):
        said = audit_release(
            release,
            loaded,
            out,
            threat=threat,
            attacks=names,
            members=members,
            shadows=shadows,
            canaries=canaries,
            students=students,
            runs=runs,
            workers=workers,
            resume=resume,
            seed=seed or 0,
            settings=set_ or [],
            progress=advance,
        )
    typer.echo(said)


@app.command(name="export")
def export_command(
    release: Annotated[Path, typer.Argument(help="A release folder.")],
    to: Annotated[str, typer.Option(help="npz, png or parquet.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File or folder to write.")],
) -> None:
    """Write a release's records in a common format."""
    from dpcond.release import Release, export

    export(Release.load(release), to, out)
    typer.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
