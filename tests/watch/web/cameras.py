"""Cameras that there are not: people walk over a gate, and each picture comes when the test says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import supervision as sv

from humandetect.analytics.scene import read_scene
from humandetect.media.frames import DetectedFrame, Event, Frame, Shape
from humandetect.watch.base import CameraStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from humandetect.analytics.counts import CountRow
    from humandetect.watch.base import Audience

WIDTH, HEIGHT = 1280, 720
STEP_SECONDS = 0.5


class FakeCameras:
    """A View whose cameras show one more picture, or become lost, when told to."""

    def __init__(self, *names: str, folder: Path | None = None) -> None:
        self._folder = folder
        self.rows: list[CountRow] = []
        self._audiences: list[Audience] = []
        self._results: dict[str, DetectedFrame] = {}
        self._statuses = {name: _new(name) for name in names}

    def statuses(self) -> Sequence[CameraStatus]:
        return list(self._statuses.values())

    def newest(self, camera: str) -> DetectedFrame | None:
        return self._results.get(camera)

    def counts(self, camera: str, *, since: datetime) -> Sequence[CountRow]:
        return [
            row
            for row in self.rows
            if camera == row["source"] and datetime.fromisoformat(row["start_wall"] or "") >= since
        ]

    def scene_file(self, camera: str) -> Path | None:
        return self._folder and self._folder / f"{camera}.toml"

    def save_scene(self, camera: str, toml: str) -> None:
        path = self.scene_file(camera)
        assert path is not None
        new = path.with_suffix(".new.toml")
        new.write_text(toml)
        read_scene(new).for_picture(WIDTH, HEIGHT, source=camera)
        new.rename(path)

    def join(self, audience: Audience) -> Callable[[], None]:
        self._audiences.append(audience)
        return lambda: self._audiences.remove(audience)

    # What a test does

    @property
    def audiences(self) -> int:
        return len(self._audiences)

    def step(self, camera: str, **changes: Any) -> DetectedFrame:
        """Have a camera show its next picture."""
        before = self._results.get(camera)
        result = _result(camera, before.frame.index + 1 if before else 0)
        self._results[camera] = result
        status = self._statuses[camera]
        self._statuses[camera] = replace(
            status, state="live", reason=None, people=len(result.detections), occupancy={"waiting": 1},
            totals={"gate": (15, 18)}, delay_seconds=0.21, last_picture=datetime.now(UTC), size=(WIDTH, HEIGHT),
            frames=status.frames + 12, detected=status.detected + 1, **changes,
        )  # fmt: skip
        for audience in list(self._audiences):
            audience.on_result(camera, result)
        return result

    def change(self, camera: str, **changes: Any) -> None:
        """Have a camera become something else."""
        self._statuses[camera] = replace(self._statuses[camera], since=datetime.now(UTC), **changes)
        for audience in list(self._audiences):
            audience.on_status(self._statuses[camera])

    def happen(self, event: Event) -> None:
        for audience in list(self._audiences):
            audience.on_event(event)


class FakeMemory:
    """A Memory of what a test puts in."""

    def __init__(self, *, events: Sequence[Event] = ()) -> None:
        self._events = list(events)

    def add_events(self, events: Sequence[Event]) -> None:
        self._events += events

    def add_count(self, row: CountRow) -> None: ...

    def totals(self, camera: str) -> Mapping[tuple[str, str], int]:
        return {}

    def last_track_id(self, camera: str) -> int:
        return 0

    def keep_track_id(self, camera: str, track_id: int) -> None: ...

    def events(self, *, camera: str | None = None, before: str | None = None, limit: int = 100) -> Sequence[Event]:
        newest = [event for event in reversed(self._events) if camera in (None, event.source)]
        ids = [event.id for event in newest]
        return newest[ids.index(before) + 1 if before else 0 :][:limit]

    def counts(self, *, camera: str | None, since: datetime) -> Sequence[CountRow]:
        return ()


def crossing(number: int, *, camera: str = "door") -> Event:
    return Event(
        "crossing", f"{camera}-{number}", camera, number * STEP_SECONDS, wall_time=datetime.now(UTC).isoformat(),
        frame=number, line="gate", direction="in" if number % 3 else "out", track_id=1, score=0.9,
    )  # fmt: skip


def count_row(camera: str, kind: str, name: str, *, at: datetime, values: Mapping[str, int]) -> CountRow:
    row: CountRow = {
        "source": camera, "start_seconds": 0.0, "start_wall": at.isoformat(), "seconds_covered": 60.0, "kind": kind,
        "name": name, "in": None, "out": None, "inside_mean": None, "inside_max": None, "visits": None,
        "person_seconds": None, "dwell_median_seconds": None,
    }  # fmt: skip
    return row | values  # type: ignore[operator,no-any-return]


def _new(name: str) -> CameraStatus:
    return CameraStatus(name, f"rtsp://{name}.example/…", "connecting", None, datetime.now(UTC))


def _result(camera: str, index: int) -> DetectedFrame:
    """Draw a street with two people, who go on with each picture."""
    shade = 70 + sum(camera.encode()) % 60
    image = np.full((HEIGHT, WIDTH, 3), (shade, shade + 12, shade - 10), np.uint8)
    image[: HEIGHT // 2] += 50
    boxes = []
    for number, colour in enumerate([(60, 60, 190), (190, 120, 50)]):
        left = (120 + 500 * number + 40 * index) % (WIDTH - 140)
        top = 230 + 60 * number
        cv2.rectangle(image, (left, top + 80), (left + 110, top + 320), colour, -1)
        cv2.circle(image, (left + 55, top + 45), 42, (150, 170, 220), -1)
        boxes.append([left - 6, top, left + 116, top + 324])
    detections = sv.Detections(
        np.array(boxes, float), confidence=np.array([0.91, 0.78]), class_id=np.zeros(2, int),
        tracker_id=np.array([1, 2]),
    )  # fmt: skip
    shapes = (
        Shape(((100, 600), (1180, 560)), "gate  in 15  out 18"),
        Shape(((700, 300), (1200, 300), (1200, 680), (760, 680)), "waiting 1"),
    )
    frame = Frame(image, index, index * STEP_SECONDS, camera, pixel_aspect=Fraction(1))
    return DetectedFrame(frame, detections, shapes=shapes)
