"""`--compare`: which runs, targets and loads say something about each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.bench.figures import BenchReport, Figures
    from humandetect.bench.loads import Load


def check_comparable(old: BenchReport, new: BenchReport) -> None:
    """Raise UsageError, naming what differs, for runs whose figures say nothing about each other."""
    for name, here, there in (
        ("images", old.setting.pictures, new.setting.pictures),
        ("model", old.setting.model, new.setting.model),
        ("model version", old.setting.model_version, new.setting.model_version),
        ("score", old.setting.score, new.setting.score),
        ("target", old.target, new.target),
    ):
        if here != there:
            raise UsageError(f"the runs cannot be compared, they differ in {name}: {here} then, {there} now")


def check_matching(old: BenchReport, targets: Sequence[str], loads: Sequence[Load]) -> None:
    """Raise UsageError, naming both sides, where the earlier run has no target or no load of this one."""
    matching_targets(old, targets)
    before = list(dict.fromkeys(one.load for one in old.figures))
    if not set(before) & set(loads):
        then, now = (", ".join(load.name for load in some) or "nothing" for some in (before, loads))
        raise UsageError(
            f"nothing can be compared, no load is the same: {then} then, {now} now; give the --concurrency, --batch, "
            "--rate and --sweep of then"
        )


def matching_targets(old: BenchReport, targets: Sequence[str]) -> dict[str, str]:
    """Return, for targets of this run, those of the earlier one: of the same name, or else the only ones.

    Raises UsageError where there are none.
    """
    before = [target.name for target in old.targets]
    if len(before) == len(targets) == 1:
        return {targets[0]: before[0]}
    if same := {name: name for name in targets if name in before}:
        return same
    then, now = (", ".join(some) or "nothing" for some in (before, targets))
    raise UsageError(
        f"nothing can be compared, no target is the same: {then} then, {now} now; name those of then by --url or "
        "--engine, or a single one"
    )


def compared_figures(old: BenchReport, new: BenchReport) -> list[tuple[Figures, Figures]]:
    """Return then and now of each load that both runs have put on a target."""
    matching = matching_targets(old, [target.name for target in new.targets])
    before = {(one.target, one.load): one for one in old.figures}
    pairs = [(before.get((matching.get(one.target, ""), one.load)), one) for one in new.figures]
    return [(then, now) for then, now in pairs if then is not None]
