"""The tables between the marks of README.md."""

from __future__ import annotations

from pathlib import Path

from dpcond.errors import InputError
from experiments.leaderboard import figures, tables
from experiments.leaderboard.results import read_results
from experiments.leaderboard.row import read_rows

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- tables: python -m experiments.leaderboard table -->", "<!-- end of tables -->"

#: The rows that the ablations take something out of.
BASES = ("curve-epsilon-auto-1", "curve-epsilon-dm-1", "cifar10-small-auto-10")


def render() -> str:
    """All tables, from rows/ and results/."""
    rows, results = read_rows(), read_results()
    parts = [
        ("The frontier", tables.frontier(rows, results)),
        ("Published", tables.anchored()),
        ("Curves", figures.section(rows, results)),
        ("Few records: digits", tables.small(rows, results)),
        ("A table: Adult", tables.tabular(rows, results)),
        ("Ceilings", tables.ceilings(rows, results)),
        ("Across architectures", tables.architectures(rows, results)),
        ("Ablations", tables.ablations(rows, results, BASES)),
        ("Audited", tables.audited()),
        ("Price: ε, time, memory", tables.price(rows, results)),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts)


def inserted(text: str) -> str:
    """``text`` with the tables between its marks.

    Raises:
        InputError: a mark is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{README}: the marks {BEGIN!r} and {END!r} are not there; put them where the tables go")
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{after}"


def write(path: Path = README) -> str:
    """Write the tables into the README; says what was written."""
    path.write_text(inserted(path.read_text()))
    return f"{path}: {len(read_results())} results, {len(read_rows())} rows"
