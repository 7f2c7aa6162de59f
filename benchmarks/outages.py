"""A broker and a webhook that are down in mid-run: what arrives of what happened, and what waiting costs.

python benchmarks/outages.py [--seconds 300] [--cameras 2]

A real `watch` looks at cameras of a server of its own on this machine, and tells a real mosquitto without persistence
and a real web server, which both leave for so many seconds.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from common import parser, print_machine, print_table, say
from receivers import HEAD, Receiver, compared, receiving, waiting, watch_command
from watch import camera_clip, served

WARM_UP_SECONDS, PERIODS = 30.0, 10
LONGEST_CATCH_UP_SECONDS = 120.0
"""Twice as long as `watch` may wait before it tries again."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--cameras", type=int, default=2)
    args = options.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        clip = args.clip or camera_clip(folder)
        with served(clip, args.cameras) as farm, receiving(folder) as receivers:
            with subprocess.Popen(watch_command(farm.addresses(), data, receivers)) as watching:
                rows = outage(psutil.Process(watching.pid), data, receivers, seconds=args.seconds)
                watching.send_signal(signal.SIGTERM)
            print_table(
                f"{args.cameras} cameras; away from {WARM_UP_SECONDS:g} s on, for {args.seconds:g} s",
                ["after", "MB", *(f"{name}: {what}" for name in receivers for what in ("waits", "arrived"))], rows,
            )  # fmt: skip
            print_table("What arrived", HEAD, compared(data, receivers))


def outage(process: psutil.Process, data: Path, receivers: dict[str, Receiver], *, seconds: float) -> list[list[str]]:
    """Let both receivers leave, and come again; return rows of memory and queues."""
    began, rows = time.monotonic(), []

    def note() -> None:
        queued = waiting(data)
        figures = [str(figure) for name, one in receivers.items() for figure in (queued[name], one.told.count)]
        rows.append([f"{time.monotonic() - began:.0f} s", f"{process.memory_info().rss / 1e6:.0f}", *figures])
        say(" | ".join(rows[-1]))

    time.sleep(WARM_UP_SECONDS)
    note()
    for one in receivers.values():
        one.leave()
    for _ in range(PERIODS):
        time.sleep(seconds / PERIODS)
        note()
    for one in receivers.values():
        one.come()
    back = time.monotonic()
    while sum(waiting(data).values()) > 2 * len(receivers) and time.monotonic() < back + LONGEST_CATCH_UP_SECONDS:
        time.sleep(0.1)
    note()
    time.sleep(WARM_UP_SECONDS)
    note()
    return rows


if __name__ == "__main__":
    main()
