"""The leaderboard.

python -m experiments.leaderboard run ROW… [--seeds 0,1,2] [--protocol quick]   measure rows; finished seeds are kept
python -m experiments.leaderboard table                                        the tables of README.md, from results/
python -m experiments.leaderboard figures                                      the curves, from results/

ROW is the name of a file in rows/ (all of its grid), or of one row of a grid. Data: --data-root, or DPCOND_DATA.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dpcond.errors import AnswerLost, InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 2 for bad input, in one line; 1 for a release that does not verify."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads should sleep; read when torch is loaded
    parser = argparse.ArgumentParser(
        prog="python -m experiments.leaderboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure rows")
    run.add_argument("rows", nargs="+", metavar="ROW")
    run.add_argument("--seeds", help="e.g. 0,1,2; default: the row's own")
    run.add_argument("--protocol", help="instead of the row's own; the result is then kept apart")
    run.add_argument("--models", help="e.g. convnet; default: all of the row")
    run.add_argument("--labels", choices=("hard", "soft"), help="default: both, where a release has both")
    run.add_argument("--out", type=Path, default=Path("runs/leaderboard"), help="folder of the runs")
    run.add_argument(
        "--results", type=Path, help="folder of the numbers; seeds found there count as done; default: those kept here"
    )
    run.add_argument("--data-root", type=Path)
    run.add_argument("--device", default="auto")
    commands.add_parser("table", help="write the tables of README.md")
    commands.add_parser("figures", help="write the curves")
    given = parser.parse_args(arguments)
    try:
        return {"run": _run, "table": _table, "figures": _figures}[given.command](given)
    except (InputError, AnswerLost) as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("leaderboard: interrupted; the same command goes on", file=sys.stderr)
        return 130


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--seeds {text!r}: expected numbers of at least 0, e.g. 0,1,2")
    return tuple(int(part) for part in parts)


def _run(given: argparse.Namespace) -> int:
    """Every row that can be run is run; those that cannot are named."""
    from experiments.leaderboard.measuring import KINDS, NotVerified
    from experiments.leaderboard.results import RESULTS, run_row
    from experiments.leaderboard.row import chosen

    seeds = _seeds(given.seeds) if given.seeds else None
    models = tuple(given.models.split(",")) if given.models else None
    status = 0
    for row in chosen(given.rows):

        def say(line: str, name: str = row.name) -> None:
            print(f"{name}: {line}", flush=True)

        try:
            result = run_row(
                row,
                given.out,
                seeds=seeds,
                protocol=given.protocol,
                models=models,
                labels=(given.labels,) if given.labels else KINDS,
                root=given.data_root,
                device=given.device,
                results=given.results or RESULTS,
                say=say,
            )
        except (InputError, AnswerLost, NotVerified) as error:
            status = max(status, 1 if isinstance(error, NotVerified) else 2)
            print(
                f"leaderboard: {'NOT VERIFIED ' if isinstance(error, NotVerified) else ''}{error}",
                file=sys.stderr,
                flush=True,
            )
            continue
        for kind in ("hard", "soft"):
            for model, found in result["architectures"][kind].items():
                values = ", ".join(f"{100 * value:.2f}" for value in found["values"])
                say(f"{model}, {kind} labels, protocol {result['protocol']}: {100 * found['mean']:.2f} % ({values})")
    return status


def _table(given: argparse.Namespace) -> int:
    from experiments.leaderboard.readme import write

    print(write())
    return 0


def _figures(given: argparse.Namespace) -> int:
    from experiments.leaderboard.figures import write

    for line in write():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
