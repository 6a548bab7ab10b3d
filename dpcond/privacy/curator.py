"""The curator stands in the wall's only door: it answers planned queries, charges first, and keeps the records to itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from dpcond.errors import AnswerLost, BudgetError, InputError, LedgerError
from dpcond.privacy.isolation import check_isolation
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.mapped import MappedRecords
from dpcond.privacy.noise import GaussianNoise, NoiseSource
from dpcond.privacy.plan import Plan, Stage
from dpcond.privacy.queries import QUERIES, Query
from dpcond.privacy.sampling import poisson_sample
from dpcond.spec import DataSpec


class PrivateRecords(Protocol):
    """What the wall reads: records by index, normalised by public constants."""

    def __len__(self) -> int: ...

    def batch(self, indices: Any) -> tuple[Tensor, Tensor]:
        """Records [B, *shape] (float32) and labels [B] (int64) at an int64 array of indices."""
        ...


@contextmanager
def exact_kernels() -> Iterator[None]:
    """Full float32 and fixed kernels: a row must not depend on how many others are in its batch.

    A caller's autocast ends here, and so do products and convolutions in fewer bits, by whatever setting: rounding to eight
    bits after a norm is taken can carry a record over its bound.
    """
    on: Any = torch.backends
    settings: list[tuple[Any, str, Any]] = [
        (op, "fp32_precision", "ieee") for op in (on.mkldnn.matmul, on.mkldnn.conv, on.cuda.matmul, on.cudnn.conv)
    ]
    settings += [(on.cudnn, "enabled", True), (on.cudnn, "benchmark", False), (on.cudnn, "deterministic", True)]
    with ExitStack() as stack:
        for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
            stack.enter_context(torch.autocast(device, enabled=False))
        for where, name, value in settings:
            stack.callback(setattr, where, name, getattr(where, name))
            setattr(where, name, value)
        yield


class Curator:
    """Answers the queries of one plan over one dataset.

    Args:
        spec: public metadata.
        plan: the calibrated plan; what it does not hold is refused.
        records: the private records; ``None`` makes the fake curator of the tests and dry runs, whose answers are
            noise alone and against which every method must run.
        ledger: where every release is charged before its noise is drawn; ``None`` only without records.
        noise: the wall's own noise source.
        answers: folder in which answers of ``keep`` stages survive a crash.
        device: where statistics are computed; sums and noise are float64 whatever it is.
        batch: records held at once; a matter of speed and memory only.
        on_release: called with (stage, index) after each fresh release, for progress.
    """

    def __init__(
        self,
        spec: DataSpec,
        plan: Plan,
        records: PrivateRecords | None = None,
        ledger: Ledger | None = None,
        *,
        noise: NoiseSource | None = None,
        answers: Path | None = None,
        device: str | torch.device = "cpu",
        batch: int = 256,
        on_release: Callable[[str, int], None] | None = None,
    ) -> None:
        if records is not None and ledger is None:
            raise InputError("curator: real records need a ledger, or spending would leave no trace")
        if isinstance(ledger, Ledger) and ledger.plan != plan:  # same events, other adjacency: half the noise
            raise InputError("curator: the ledger was opened for another plan; open one for this plan")
        seeded = noise is not None and not noise.entropy.private
        if plan.private and seeded and "NOT PRIVATE" not in str(plan.public.get("entropy")):
            raise InputError("curator: a seeded noise source is not private; declare it in the plan (public.entropy)")
        self.spec, self.plan = spec, plan
        self._records, self._ledger, self._noise = records, ledger, noise or GaussianNoise()
        self._answers, self._device, self._batch = answers, torch.device(device), batch
        self._on_release = on_release
        self._asked: dict[str, int] = {}
        self._mapped: MappedRecords | None = None
        if answers is not None:
            answers.mkdir(parents=True, exist_ok=True)

    def charged(self, stage: str) -> int:
        """Releases of this stage that are spent: the index a stage without kept answers goes on from."""
        return self._ledger.charged(stage) if self._ledger is not None else self._asked.get(stage, 0)

    def ask(self, stage: str, index: int, query: Query) -> Tensor:
        """The ``index``-th release of a planned stage: the noised sum over the records, float32 of ``query.shape``.

        Asked again (after a crash), a kept answer is returned as it was and nothing is spent.

        Raises:
            BudgetError: the query is not what the plan says, is out of order, or would pass the budget.
            AnswerLost: charged before a crash, and its answer did not survive; it stays spent.
            LedgerError: charged, and the answer cannot be kept (a full disk); it stays spent. Or an answer is there that
                the ledger knows nothing of: asked again, it would be drawn twice and charged once.
        """
        planned = self.plan.stage(stage)
        if type(query) not in QUERIES:
            names = ", ".join(kind.__name__ for kind in QUERIES)
            raise BudgetError(
                f"query of type {type(query).__name__}: the wall answers {names} alone, whose bounds it knows"
            )
        if query.dimension != planned.dimension:
            raise BudgetError(
                f"stage {stage!r}: planned {planned.dimension} values per release, the query has {query.dimension}"
            )
        spent = self.charged(stage)
        if index < spent:
            return self._stored(planned, index, query)
        if index != spent or index >= planned.count:
            raise BudgetError(f"stage {stage!r}: release {index} asked, {spent} of {planned.count} planned are spent")
        if self._ledger is not None and planned.keep and self._answers and self._path(stage, index).exists():
            raise LedgerError(
                f"stage {stage!r}: {self._path(stage, index)} answers release {index}, which the ledger does not hold: it is "
                "an older copy; put back the ledger that belongs to these answers, or start in a new folder"
            )
        with exact_kernels():
            self._check_isolation(query, thorough=spent == 0)
        event = self.plan.event(stage)
        std = event.noise_multiplier * query.sensitivity(self.plan.adjacency)
        total = self._clean_sum(query, planned, self._noise.grid(std))
        if self._ledger is not None:  # law 3: on disk before the noise exists
            self._ledger.charge(stage, index, event, query.fingerprint())
        self._asked[stage] = index + 1
        if index + 1 == planned.count:
            self._mapped = None  # the stage is through: give its memory back
        answer = (total + self._noise.draw(query.shape, std) if std > 0 else total).float()
        if self._answers is not None and planned.keep:
            self._store(self._path(stage, index), answer, query)
        if self._on_release is not None:
            self._on_release(stage, index)
        return answer

    def _clean_sum(self, query: Query, stage: Stage, grid: float | None) -> Tensor:
        total = torch.zeros(query.shape, dtype=torch.float64)
        if self._records is None:
            return total
        chosen = poisson_sample(len(self._records), stage.sampling_rate, self._noise.entropy)
        with exact_kernels():
            records = self._seen_by(query, self._records)
            for start in range(0, len(chosen), self._batch):
                x, y = records.batch(chosen[start : start + self._batch])
                total += query.sum(x.to(self._device), y.to(self._device), clip=self.plan.private, grid=grid).cpu()
        return total

    def _seen_by(self, query: Query, records: PrivateRecords) -> PrivateRecords:
        """The records, or what the public map of ``query`` makes of them; the map last used is kept for the next ask."""
        if query.mapping is None:
            return records
        if self._mapped is None or not self._mapped.made_by(query.mapping):
            self._mapped = None  # free the last one first
            self._mapped = MappedRecords(records, query.mapping, self._device, self._batch)
        return self._mapped

    def _check_isolation(self, query: Query, thorough: bool) -> None:
        """Try on public noise whether the query keeps records apart: on a whole batch, or (cheaply) on three records."""
        mapping = query.mapping
        if mapping is not None and self._records is not None:  # a map about to be applied to all records
            thorough = thorough or self._mapped is None or not self._mapped.made_by(mapping)
        probe = self._probe(max(3, self._batch) if thorough else 3)
        if mapping is not None:
            check_isolation(lambda x: mapping(x).flatten(1), probe)
            with torch.no_grad():
                probe = mapping(probe)
        for statistic in query.per_record():
            check_isolation(statistic, probe)

    def _probe(self, size: int) -> Tensor:
        """Public records of noise."""
        return torch.rand(size, *self.spec.shape, generator=torch.Generator().manual_seed(0)).to(self._device)

    def _path(self, stage: str, index: int) -> Path:
        assert self._answers is not None
        return self._answers / f"{stage}-{index:05d}.safetensors"

    def _store(self, path: Path, answer: Tensor, query: Query) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        partial = path.with_suffix(".partial")
        try:
            save_file({"answer": answer}, partial, metadata={"query": query.fingerprint()})
            with open(partial, "rb") as f:
                os.fsync(f.fileno())
            os.replace(partial, path)
        except (SafetensorError, OSError) as error:
            raise LedgerError(
                f"answer {path} is charged and cannot be kept ({error}): it stays spent; free space, then resume"
            ) from None

    def _stored(self, stage: Stage, index: int, query: Query) -> Tensor:
        from safetensors import SafetensorError, safe_open

        if self._answers is None or not stage.keep or not self._path(stage.name, index).exists():
            raise AnswerLost(
                f"stage {stage.name!r}: release {index} is spent and its answer was lost in a crash; a run in a new folder spends anew"
            )
        path = self._path(stage.name, index)
        try:
            with safe_open(path, framework="pt") as f:
                asked, answer = f.metadata()["query"], f.get_tensor("answer")
        except (SafetensorError, OSError, KeyError) as error:
            raise AnswerLost(
                f"stage {stage.name!r}: the kept answer {path} cannot be read ({error}); bring it back, or spend anew in a new folder"
            ) from None
        if asked != query.fingerprint():
            raise BudgetError(f"stage {stage.name!r}: release {index} was spent on another question ({path})")
        return answer
