"""What `kill -9` at random moments leaves of a `watch`: recordings, events, totals, and what is told of them.

python benchmarks/killed.py [--kills 20] [--seed 1]

A real `watch` records and counts at cameras of a server of its own on this machine, tells a real mosquitto and a real
web server, is killed, and begins again with what it left.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import av
from common import parser, print_machine, print_table, say
from receivers import HEAD, Receiver, asked, compared, receiving, waiting, watch_command
from watch import Served, camera_clip, served

from humandetect.watch.segments import finish_remains

FPS = 10
"""Of the cameras."""
LEAST_SECONDS, MOST_SECONDS = 5.0, 20.0
"""Until it is killed; the engine alone needs the first few."""
SEGMENT_SECONDS = 5


class Left(NamedTuple):
    """What a killed process left."""

    seconds: float
    events: int
    lost_seconds: float
    """Of the camera of which most is missing."""
    files: int
    broken_files: int
    wrong_totals: int
    """Lines and ways at which the total is not that of the events."""
    ids_again: int
    """Events about people whose ids were given before."""


def main() -> None:
    asked_for = parser(__doc__)
    asked_for.add_argument("--kills", type=int, default=20)
    asked_for.add_argument("--seed", type=int, default=1)
    options = asked_for.parse_args()
    print_machine()
    dice = random.Random(options.seed)  # noqa: S311 - the same moments each time
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = options.clip or camera_clip(folder)
        with served(clip, 2) as farm, receiving(folder) as receivers:
            rows = [
                kill(dice.uniform(LEAST_SECONDS, MOST_SECONDS), farm, folder, receivers) for _ in range(options.kills)
            ]
            catch_up(farm, folder, receivers)
            head = ["seconds", "events", "seconds lost", "files", "that do not play", "wrong totals", "ids again"]
            print_table("After each kill", head, [[f"{figure:g}" for figure in row] for row in rows])
            print_table("What was told of what was kept, in the end", HEAD, compared(folder / "data", receivers))


def started(farm: Served, folder: Path, receivers: dict[str, Receiver]) -> subprocess.Popen[bytes]:
    kept = ("--record", str(folder / "recordings"), "--segment", str(SEGMENT_SECONDS), "--quiet")
    return subprocess.Popen(watch_command(farm.addresses(), folder / "data", receivers, *kept))


def kill(after_seconds: float, farm: Served, folder: Path, receivers: dict[str, Receiver]) -> Left:
    """Start it, kill it, and say what is there."""
    data, recordings = folder / "data", folder / "recordings"
    events_before, files_before = newest_event(data), set(recordings.glob("*/*/*.mp4"))
    with started(farm, folder, receivers) as process:
        time.sleep(after_seconds)
        process.kill()
        killed = datetime.now().astimezone()
    finish_remains(recordings)
    files = set(recordings.glob("*/*/*.mp4")) - files_before
    plays = {path: playing_seconds(path) for path in files}
    lost = [
        (killed - live).total_seconds() - sum(plays[path] or 0 for path in files if path.parent.parent.name == camera)
        for camera, live in first_live(data, events_before).items()
    ]
    left = Left(
        round(after_seconds, 1), newest_event(data) - events_before, round(max([0.0, *lost]), 2),
        len(files), list(plays.values()).count(None), wrong_totals(data), ids_again(data, events_before),
    )  # fmt: skip
    say(str(left))
    return left


def catch_up(farm: Served, folder: Path, receivers: dict[str, Receiver]) -> None:
    """Start it once more, until all that waited is told."""
    with started(farm, folder, receivers) as process:
        time.sleep(MOST_SECONDS)
        while sum(waiting(folder / "data").values()) > 2 * len(receivers):
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)


def newest_event(data: Path) -> int:
    if not (data / "watch.sqlite").exists():
        return 0
    with asked(data) as db:
        return int(db.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()[0])


def first_live(data: Path, events_before: int) -> dict[str, datetime]:
    """Return when each camera was seen first."""
    with asked(data) as db:
        rows = db.execute("SELECT json FROM events WHERE number > ? ORDER BY number DESC", (events_before,)).fetchall()
    events = [json.loads(text) for (text,) in rows]
    return {event["source"]: datetime.fromisoformat(event["wall_time"]) for event in events if event["state"] == "live"}


def wrong_totals(data: Path) -> int:
    with asked(data) as db:
        kept = set(db.execute("SELECT camera, line, direction, crossings FROM totals"))
        counted = set(
            db.execute(
                "SELECT camera, json ->> 'line', json ->> 'direction', count(*) FROM events"
                " WHERE json ->> 'event' = 'crossing' GROUP BY 1, 2, 3"
            )
        )
    return len(kept ^ counted)


def ids_again(data: Path, events_before: int) -> int:
    with asked(data) as db:
        found = db.execute(
            "SELECT count(*) FROM events AS new WHERE number > ? AND json ->> 'track_id' <= ("
            " SELECT max(json ->> 'track_id') FROM events WHERE number <= ? AND camera = new.camera)",
            (events_before, events_before),
        )
        return int(found.fetchone()[0])


def playing_seconds(path: Path) -> float | None:
    try:
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0)) / FPS
    except (OSError, av.error.FFmpegError):
        return None


if __name__ == "__main__":
    main()
