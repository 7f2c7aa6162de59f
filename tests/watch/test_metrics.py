"""What Prometheus is told of cameras."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from humandetect.config.delivery import DeliveryConfig
from humandetect.watch.metrics import DeliveryFigures, RecordingFigures, WatchCollector, watch_registry
from humandetect.watch.notify import delivery_figures
from humandetect.watch.store import Store
from tests.watch.happenings import crossings
from tests.watch.web.cameras import FakeCameras

if TYPE_CHECKING:
    from pathlib import Path


def test_every_figure_of_cameras_recordings_and_deliveries_has_its_name() -> None:
    cameras = FakeCameras("door")
    cameras.step("door", dropped={"late": 3}, reconnects={"timeout": 2}, spared=7, unrecorded=9)
    registry = watch_registry(
        WatchCollector(
            cameras,
            recordings=lambda: RecordingFigures(10_000, {"age": 4}),
            deliveries=lambda: DeliveryFigures({("mqtt", "sent"): 5}, {"webhook": 6}, {"events": 8}),
        )
    )

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"humandetect_{name}", labels)

    door = {"camera": "door"}
    assert (value("camera_state", state="live", **door), value("camera_state", state="lost", **door)) == (1, 0)
    assert (value("camera_frames_total", **door), value("camera_detected_total", **door)) == (12, 1)
    assert (value("camera_spared_total", **door), value("camera_unrecorded_total", **door)) == (7, 9)
    assert value("not_kept_total", what="events") == 8
    assert value("camera_dropped_total", reason="late", **door) == 3
    assert value("camera_reconnects_total", reason="timeout", **door) == 2
    assert (value("camera_delay_seconds", **door), value("camera_people", **door)) == (0.21, 2)
    assert 0 <= (value("camera_last_picture_seconds", **door) or -1) < 60
    assert (value("recording_bytes"), value("recording_deleted_total", reason="age")) == (10_000, 4)
    assert value("events_sent_total", sink="mqtt", result="sent") == 5
    assert value("events_queued", sink="webhook") == 6


def test_what_waits_for_a_receiver_and_what_it_took_is_the_stores(tmp_path: Path) -> None:
    config = DeliveryConfig(webhook="http://127.0.0.1:9/people")
    store = Store(tmp_path, config)
    store.add_events(crossings(3))
    registry = watch_registry(WatchCollector(FakeCameras(), deliveries=partial(delivery_figures, config, store)))
    queued = store.first_queued("webhook")
    assert queued is not None
    store.take(queued, "webhook", result="sent")
    labels = {"sink": "webhook"}
    assert registry.get_sample_value("humandetect_events_queued", labels) == 2
    for result, count in {"sent": 1, "failed": 0, "dropped": 0}.items():  # an increase from nothing is not seen
        assert registry.get_sample_value("humandetect_events_sent_total", {**labels, "result": result}) == count
    store.close()


def test_a_camera_that_was_never_seen_has_a_state_and_no_made_up_figures() -> None:
    registry = watch_registry(WatchCollector(FakeCameras("door")))
    door = {"camera": "door"}
    assert registry.get_sample_value("humandetect_camera_state", {**door, "state": "connecting"}) == 1
    for name in ("delay_seconds", "last_picture_seconds", "people"):
        assert registry.get_sample_value(f"humandetect_camera_{name}", door) is None


def test_the_age_of_the_newest_picture_grows_while_a_camera_is_lost() -> None:
    cameras = FakeCameras("door")
    cameras.step("door")
    cameras.change("door", state="lost", last_picture=datetime(2026, 1, 1, tzinfo=UTC))
    registry = watch_registry(WatchCollector(cameras))
    assert (registry.get_sample_value("humandetect_camera_last_picture_seconds", {"camera": "door"}) or 0) > 86_400
