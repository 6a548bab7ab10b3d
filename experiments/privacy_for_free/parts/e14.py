"""E14: an evaluation that trained on the wrong images (FRePo's released attack script), as it is and repaired."""

from __future__ import annotations

from attacks.errors import InputError
from attacks.release_set import ReleaseSet
from attacks.students import train
from attacks.students.ensemble import assert_trained_on
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import attack_scores, curve, paired_difference
from experiments.privacy_for_free.part import Figure, Part
from experiments.privacy_for_free.shadows import CellResult


def run(frame: Frame) -> Part:
    focus, few = frame.profile.focus, frame.profile.few
    cells = {
        "as released: students see the initial images": Cell(focus, "kip", few, "member", steps=0),
        "random subset (E3)": Cell(focus, "subset", few, "member"),
        "repaired: students see the released images and labels": Cell(focus, "kip", few, "member", soft=True),
    }
    rates = {what: frame.rates(cell, "lira") for what, cell in cells.items()}
    faulty, subset, repaired = (frame.cell(cell) for cell in cells.values())
    targets = frame.targets(subset)
    scores = [attack_scores(result, "lira", targets) for result in (faulty, subset, repaired)]
    member = subset.member[:, targets]
    same = paired_difference(scores[0], scores[1], member)
    other = paired_difference(scores[2], scores[1], member)
    equal = sum(same_images(a, b) for a, b in zip(faulty.releases, subset.releases, strict=True))
    caught = fault_caught(faulty, repaired)
    lies = same[1] <= 0 <= same[2]
    return Part(
        id="E14",
        title="An evaluation that attacked the wrong images",
        setting=f"Kernel inducing points with learnt labels, {few} per class, started from members, the nearest we have to FRePo; LiRA on students. "
        "In the attack script that FRePo's authors released (commit 9b98c65) the student is trained on what init_proto returns, real members with "
        "one-hot labels; the condensed set is saved and never attacked. The figures of the paper may come from other code. The faulty evaluation is "
        "re-made here, by a run of no steps, and not run from their script.",
        rows=[{"student trained on": what, **row} for what, (row, _) in rates.items()],
        figures=[
            Figure(
                "roc",
                "LiRA on students, both axes logarithmic.",
                "roc",
                "false-positive rate",
                "true-positive rate",
                [curve(what, roc) for what, (_, roc) in rates.items()],
            )
        ],
        findings=[
            f"In {equal} of {len(subset.releases)} runs the images that the faulty evaluation trains on are, pixel by pixel, those of the random subset.",
            f"TPR at FPR 1%, as released less random subset: {same[0]:+.3f} ({same[1]:+.3f} to {same[2]:+.3f}); repaired less random subset: "
            f"{other[0]:+.3f} ({other[1]:+.3f} to {other[2]:+.3f}).",
            "Here every student carries a hash of the tensor that it was trained on; the check refuses the faulty evaluation."
            if caught
            else "The check on what a student was trained on let the fault pass.",
        ],
        numbers={
            "released_minus_subset_low": same[1],
            "released_minus_subset_high": same[2],
            "repaired_differs": float(not other[1] <= 0 <= other[2]),
            "fault_caught": float(caught),
        },
        outcome="neither" if lies and caught else "cannot tell",
    )


def same_images(a: ReleaseSet, b: ReleaseSet) -> bool:
    """Whether two releases hold the same images, in whatever order."""
    return sorted(row.tobytes() for row in a.x) == sorted(row.tobytes() for row in b.x)


def fault_caught(faulty: CellResult, repaired: CellResult) -> bool:
    """Students trained on the initial images, presented as students of the release: is that refused?"""
    ensemble = train(faulty.releases[:1], 1, 0, steps=1)
    try:
        assert_trained_on(ensemble, repaired.releases[:1])
    except InputError:
        return True
    return False
