"""How all cameras are, as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from humandetect.watch.base import CameraStatus
    from humandetect.watch.check import Checked

_STYLES = {"live": "green", "late": "yellow", "connecting": "cyan", "stopped": ""}
_NOTHING = "-"


def status_table(statuses: Iterable[CameraStatus]) -> Table:
    """Return a row a camera."""
    table = Table(
        "camera", "state", "people", "in / out", "delay", "looks", "dropped", "size", box=None, pad_edge=False
    )
    for one in statuses:
        delay = _NOTHING if one.delay_seconds is None else f"{one.delay_seconds * 1000:.0f} ms"
        counts = ", ".join(f"{name} {entered} / {left}" for name, (entered, left) in one.totals.items())
        table.add_row(
            one.name,
            Text(f"{one.state}{f' ({one.reason})' if one.reason else ''}", _STYLES.get(one.state, "red")),
            _NOTHING if one.people is None else str(one.people),
            counts or _NOTHING,
            delay,
            f"{one.detected:,}{f' ({one.spared:,} spared)' if one.spared else ''}",
            f"{sum(one.dropped.values()):,}",
            "{} x {}".format(*one.size) if one.size else _NOTHING,
        )
    return table


def check_table(checked: Sequence[Checked]) -> Group:
    """Return a row a camera with what it sends and what it costs, and a line for each that has a problem instead."""
    table = Table(
        "camera", "size", "codec", "pictures/s", "key frame each", "decoding", "a look", "cores",
        box=None, pad_edge=False,
    )  # fmt: skip
    seen = [one for one in checked if not one.problem]
    for one in seen:
        table.add_row(
            one.camera.name,
            "{} x {}".format(*one.size) if one.size else _NOTHING,
            one.codec,
            f"{one.rate:.1f}" if one.rate else _NOTHING,
            f"{one.key_seconds:.1f} s" if one.key_seconds else _NOTHING,
            f"{one.decode_ms:.1f} ms" if one.decode_ms else _NOTHING,
            f"{one.detect_ms:.1f} ms",
            f"{one.cores:.3f}",
        )
    problems = (Text(f"{one.camera.name}: {one.problem}", "red") for one in checked if one.problem)
    return Group(*[table] * bool(seen), *problems)
