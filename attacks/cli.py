"""The command line: read arrays, audit, write the report. Errors are one line and exit status 2."""

import sys
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attacks.errors import InputError

if TYPE_CHECKING:
    from attacks.records import Records

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def audit(
    members: Annotated[Path | None, typer.Option(help=".npz with x and y of records that went in")] = None,
    nonmembers: Annotated[Path | None, typer.Option(help=".npz of records that did not")] = None,
    release: Annotated[Path | None, typer.Option(help="released set: .npz, .safetensors, or a folder with one")] = None,
    reference: Annotated[Path | None, typer.Option(help=".npz of other records; else half of the non-members")] = None,
    pool: Annotated[Path | None, typer.Option(help=".npz of candidates, for threat procedure")] = None,
    procedure: Annotated[
        str,
        typer.Option(
            help="verbatim, subset, class_subset, linear_dm, convnet_dm, gradient_matching or kernel_inducing"
        ),
    ] = "convnet_dm",
    option: Annotated[list[str] | None, typer.Option(help="of the procedure, as name=value; repeat")] = None,
    threat: Annotated[str, typer.Option(help="release, student or procedure")] = "release",
    attacks: Annotated[str | None, typer.Option(help="names with commas between; all by default")] = None,
    claimed_epsilon: Annotated[float | None, typer.Option(help="the claim to test")] = None,
    delta: Annotated[float, typer.Option(help="delta of the claim")] = 1e-5,
    shadows: Annotated[int, typer.Option(help="shadow runs, even")] = 64,
    targets: Annotated[int, typer.Option(help="records of the pool to attack")] = 500,
    canaries: Annotated[int, typer.Option(help="of each family, appended to the pool")] = 0,
    students: Annotated[int | None, typer.Option(help="trained on each set; 8 for student, 0 for procedure")] = None,
    workers: Annotated[int, typer.Option(help="processes for shadows that are not batched")] = 1,
    resume: Annotated[bool, typer.Option(help="use finished shadows in OUT")] = True,
    show_images: Annotated[bool, typer.Option(help="put pictures of the most exposed records on the page")] = False,
    trained_on: Annotated[
        int | None, typer.Option(help="records that went into the release, if --members are a part of them")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path, typer.Option(help="folder for audit.json and audit.html")] = Path("audit"),
) -> None:
    """Audit a released set, or the procedure that makes one, by membership inference."""
    from attacks.report.report import check_free

    check_free(out)
    names = None if attacks is None else [name.strip() for name in attacks.split(",") if name.strip()]
    if threat == "procedure":
        from attacks.procedure_audit import audit_procedure
        from attacks.procedures import build

        listed = _listed(_given(pool, "--pool"), show_images)
        report = audit_procedure(
            build(procedure, **_options(option or [])),
            listed,
            shadows,
            targets,
            names,
            seed,
            workers,
            out,
            resume,
            _progress,
            canaries=canaries,
            students=students or 0,
            claimed_epsilon=claimed_epsilon,
            delta=delta,
        )
    else:
        from attacks.records import Records
        from attacks.release_audit import audit as audit_release
        from attacks.release_set import ReleaseSet

        listed = _listed(_given(members, "--members"), show_images)
        report = audit_release(
            ReleaseSet.read(_given(release, "--release")),
            listed,
            Records.read(_given(nonmembers, "--nonmembers")),
            None if reference is None else Records.read(reference),
            threat,
            names,
            claimed_epsilon,
            delta,
            seed,
            8 if students is None else students,
            trained_on,
        )
    images = _pictures(listed, report.exposed) if show_images else []
    report.save(out, images)
    typer.echo(report.verdict.sentence)
    typer.echo(f"{out / 'audit.html'}")


def main() -> None:
    """Run the command; an error of the user's is one line and status 2."""
    try:
        app()
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


def _given(path: Path | None, flag: str) -> Path:
    if path is None:
        raise InputError(f"{flag} is missing: name the file")
    return path


def _listed(path: Path, pictures: bool) -> "Records":
    """The records that the report will list; refused now, not after the audit, if pictures of them are asked and cannot be."""
    from attacks.records import Records

    records = Records.read(path)
    if pictures:
        _pictures(records, [])
    return records


def _options(pairs: list[str]) -> dict[str, int | float | str]:
    options: dict[str, int | float | str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--option {pair!r}: expected name=value")
        options[name] = _number(value)
    return options


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _progress(done: int, of: int, seconds: float) -> None:
    left = f"{seconds:.0f} s to go" if isfinite(seconds) else "resumed"
    typer.echo(f"\r{done} of {of} shadows, {left}   ", err=True, nl=done == of)


def _pictures(records, exposed):  # type: ignore[no-untyped-def]
    from attacks.report.pictures import data_uris

    return data_uris(records, [entry["index"] for entry in exposed])
