"""How a training set is judged: protocols as data, so that a number can be printed with its own."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from dpcond.errors import InputError
from dpcond.models.precision import Precision


@dataclass(frozen=True)
class Protocol:
    """Train from scratch with SGD, then test the last iterate.

    As Zhao et al. code it (VICO ``evaluate_synset``): ``epochs + 1`` passes; after pass ``epochs // 2 + 1`` (counted from
    0) the learning rate falls to a tenth and the momentum starts anew; the last, smaller batch is kept.

    Attributes:
        name: what it is called in tables.
        epochs: E above.
        width: channels of a ConvNet block.
        depth: blocks of a ConvNet (fewer where an image cannot be halved that often).
        learning_rate, momentum, weight_decay, batch_size: of SGD.
        augmentation: ``"dsa"`` (one random operation per batch, parameters per image) or ``"none"``.
        precision: of the networks' multiplications; weights and sums are float32.
        source: whose protocol it is.
    """

    name: str
    epochs: int
    width: int = 128
    depth: int = 3
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 256
    augmentation: Literal["dsa", "none"] = "dsa"
    precision: Precision = "float32"
    source: str = ""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.width < 1 or self.depth < 1:
            raise InputError(f"protocol {self.name!r}: epochs, batch size, width and depth must be at least 1")
        if self.augmentation not in ("dsa", "none"):
            raise InputError(f"protocol {self.name!r}: augmentation {self.augmentation!r} is not 'dsa' or 'none'")

    def to_json(self) -> dict[str, Any]:
        """A plain dict of JSON values."""
        return asdict(self)


DC = Protocol("dc", 1000, source="Zhao & Bilen 2021 (DSA), as coded: 1000 epochs with DSA, ConvNet D3 W128")
DC_BF16 = replace(
    DC, name="dc-bf16", precision="bfloat16", source=f"{DC.source}; multiplications in bfloat16, as GPUs do in TF32"
)
DC_PLAIN = Protocol("dc-plain", 300, augmentation="none", source="Zhao et al. 2021 (DC), as coded: 300 epochs")
QUICK = Protocol("quick", 300, width=64, source="ours: DC's with half the width and 300 epochs; a tenth of its cost")
FULL = Protocol(
    "full", 5, width=64, augmentation="none", source="ours: for all real records, where an epoch is many steps"
)
PROTOCOLS = {protocol.name: protocol for protocol in (DC, DC_BF16, DC_PLAIN, QUICK, FULL)}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name; InputError with the nearest name when there is none."""
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name.lower(), PROTOCOLS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(PROTOCOLS)}"
        raise InputError(f"protocol {name!r} is unknown: {hint}")
    return PROTOCOLS[name]
