"""E4: what an evaluation of the published size could have seen, and the paired interval of condensed less subset."""

from __future__ import annotations

from attacks.statistics.power import members_needed, members_to_rule_out, zero_of_n
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import attack_scores, paired_difference
from experiments.privacy_for_free.part import Figure, Outcome, Part, Row, Series

FPR = 0.001
PUBLISHED = {"CIFAR-10, half": 25_000, "Fashion-MNIST, half": 30_000}  # members; ten classes each


def run(frame: Frame) -> Part:
    profile = frame.profile
    rows = power_rows()
    cells = (Cell(profile.focus, method, profile.few, "member") for method in ("dm", "subset"))
    condensed, subset = (frame.cell(cell) for cell in cells)
    targets = frame.targets(condensed)
    a, b = (attack_scores(result, "lira", targets) for result in (condensed, subset))
    member = condensed.member[:, targets]
    runs = sorted({2, 8, profile.shadows // 4, profile.shadows})
    intervals: list[Row] = []
    for used in runs:
        value, low, high = paired_difference(a[:used], b[:used], member[:used])
        intervals.append(
            {"runs": used, "members": int(member[:used].sum()), "difference": value, "low": low, "high": high}
        )
    one, all_ = intervals[0], intervals[-1]
    numbers = {
        "difference_low": one["low"],
        "difference_high": one["high"],
        "difference_all_low": all_["low"],
        "difference_all_high": all_["high"],
        "members_needed_cifar_ipc10": float(rows[1]["members_needed"]),
    }
    inside = one["low"] <= 0 <= one["high"]
    outcome: Outcome = "cannot tell" if inside else "neither"
    enough = [f"{row['setting']}, {row['ipc']} per class" for row in rows if row["members_needed"] <= row["members"]]
    return Part(
        "E4",
        "Enough records?",
        f"Rates at FPR {FPR:.1%} by exact binomial tests (5% level, 80% power). Paired difference in TPR at FPR 1%: DM from real images "
        f"less these images, {profile.few} per class, LiRA on students, by how many runs are attacked. One pair of runs is what an evaluation of one "
        "target model has; its interval is over records alone, since one pair says nothing of other runs.",
        rows,
        [
            Figure(
                "difference",
                "Condensed less subset, TPR at FPR 1%, by the number of members attacked.",
                "points",
                "members attacked",
                "difference in TPR",
                [
                    Series(
                        "DM less subset",
                        [row["members"] for row in intervals],
                        [row["difference"] for row in intervals],
                        [row["low"] for row in intervals],
                        [row["high"] for row in intervals],
                    )
                ],
                log_x=True,
                line=(0.0, "no difference"),
            )
        ],
        [
            f"To tell the naive baseline's TPR of FPR + m/n from the FPR of {FPR:.1%} takes {rows[1]['members_needed']:,} members on "
            f"CIFAR-10 with 10 images per class, {rows[2]['members_needed']:,} with 50. An evaluation that tests every member of a half has enough in "
            f"{len(enough)} of {len(rows)} settings ({', '.join(enough)}); one that tests some hundreds has "
            "not. How many were tested in the paper we do not know.",
            f"No hit among 500 members leaves {zero_of_n(500):.2%} possible; to rule out m/n = 0.4% takes {members_to_rule_out(0.004):,}.",
            f"One pair of runs ({one['members']:,} members): the paired interval is {one['low']:+.2%} to {one['high']:+.2%}; "
            f"all {profile.shadows} runs ({all_['members']:,}): {all_['low']:+.2%} to {all_['high']:+.2%}.",
        ],
        numbers,
        outcome,
        tables={"DM less subset by runs attacked": intervals},
    )


def power_rows() -> list[Row]:
    """The naive baseline's rate at the published sizes, and the members it takes to see it."""
    rows = []
    for name, members in PUBLISHED.items():
        for ipc in (1, 10, 50):
            rate = ipc * 10 / members
            rows.append(
                {
                    "setting": name,
                    "ipc": ipc,
                    "members": members,
                    "subset_rate": rate,
                    "tpr_of_subset": FPR + (1 - FPR) * rate,
                    "members_needed": members_needed(FPR + (1 - FPR) * rate, FPR),
                    "members_to_rule_out": members_to_rule_out(rate),
                }
            )
    return rows
