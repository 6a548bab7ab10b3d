"""The tables between the marks of two pages: the folder's own README.md, and a few of its lines in the project's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dpcond.errors import InputError
from experiments.leaderboard import figures, tables
from experiments.leaderboard.results import read_results
from experiments.leaderboard.row import read_rows

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: python -m experiments.leaderboard table -->", "<!-- end of tables -->"

#: The rows that the ablations take something out of.
BASES = ("curve-epsilon-auto-1", "curve-epsilon-dm-1", "cifar10-small-auto-10")


def everything() -> str:
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
        ("The wall, audited", tables.audited()),
        ("Price: ε, time, memory", tables.price(rows, results)),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts)


def headline() -> str:
    """What stands beside published numbers, in one table."""
    return tables.headline(read_rows(), read_results())


PAGES: Mapping[Path, Callable[[], str]] = {HERE / "README.md": everything, HERE.parents[1] / "README.md": headline}


def inserted(page: Path) -> str:
    """The text of a page with its tables between the marks.

    Raises:
        InputError: a mark is missing.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{page}: the marks {BEGIN!r} and {END!r} are not there; put them where the tables go")
    return f"{before}{BEGIN}\n\n{PAGES[page]()}\n\n{END}{after}"


def write() -> str:
    """Write the tables into the pages; says what was written."""
    for page, text in {page: inserted(page) for page in PAGES}.items():
        page.write_text(text)
    return f"{', '.join(map(str, PAGES))}: {len(read_results())} results, {len(read_rows())} rows"
