"""Seconds, peak memory, the machine and the code, measured around a piece of work."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from dpcond import __version__

LOG = "condensing.json"


class Meter:
    """``with Meter() as used: …`` then ``used.seconds``, ``used.peak_mib`` and ``used.machine``."""

    def __enter__(self) -> Meter:
        with suppress(OSError):  # a new high-water mark of the resident set; elsewhere than on Linux the old one stays
            Path("/proc/self/clear_refs").write_text("5")
        self._start = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._start
        self.peak_mib = peak_mib()
        self.machine = machine()

    def to_json(self) -> dict[str, Any]:
        """JSON values, rounded to what they are worth."""
        return {"seconds": round(self.seconds, 1), "peak_mib": round(self.peak_mib), "machine": self.machine}


def peak_mib() -> float:
    """High-water mark of the resident set, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if platform.system() == "Darwin" else 1024)


def machine() -> str:
    """In words: cores, threads used, how busy it was, accelerator."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    words = [
        f"{os.cpu_count()} cores ({names[0] if names else platform.machine()})",
        f"{torch.get_num_threads()} thread(s) used",
        f"load average {os.getloadavg()[1]:.1f}",
        torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU",
    ]
    return ", ".join(words)


@contextmanager
def timed(folder: Path) -> Iterator[None]:
    """Add the time of this sitting to that of the earlier ones in ``folder``; the time of one that was killed is lost."""
    folder.mkdir(parents=True, exist_ok=True)
    before = spent(folder) if (folder / LOG).exists() else {"seconds": 0.0, "peak_mib": 0, "killed": False}
    _write(folder / LOG, {**before, "open": True})
    used = Meter()
    try:
        with used:
            yield
    finally:
        this = used.to_json()
        total = {"seconds": round(before["seconds"] + this["seconds"], 1), "killed": before["killed"]}
        total["peak_mib"] = max(before["peak_mib"], this["peak_mib"])
        _write(folder / LOG, {**total, "machine": this["machine"], **code()})


def spent(folder: Path) -> dict[str, Any]:
    """What the sittings in ``folder`` took; ``killed`` says that the seconds are a lower bound."""
    log = json.loads((folder / LOG).read_text())
    log["killed"] |= log.pop("open", False)
    return log


def code() -> dict[str, Any]:
    """The version and the commit, with a plus sign where dpcond/ differs from it; None outside a checkout."""
    here = Path(__file__).resolve().parents[2]
    try:
        said = [
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "dpcond"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return {"dpcond": __version__, "commit": None}
    return {"dpcond": __version__, "commit": said[0] + ("+" if said[1] else "")}


def _write(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    partial.replace(path)
