"""Seconds, peak memory and the machine, measured around a piece of work."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch


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
