"""What Prometheus is told of the cameras, their recordings and what was sent of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, get_args

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from humandetect.watch.base import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from humandetect.watch.base import CameraStatus, View


class RecordingFigures(NamedTuple):
    """The folder of recordings; what did not happen yet is 0, as Prometheus sees no increase from nothing."""

    bytes: int = 0
    deleted: Mapping[str, int] = {}
    """Files that made room, by reason."""


class DeliveryFigures(NamedTuple):
    """What goes out to MQTT and webhooks, likewise."""

    sent: Mapping[tuple[str, str], int] = {}
    """Events by sink and result."""
    queued: Mapping[str, int] = {}
    """Events that wait, by sink."""
    not_kept: Mapping[str, int] = {}
    """Events and rows of counts that could not be written."""


class WatchCollector(Collector):
    """Asks for the figures when they are wanted: nobody counts twice."""

    def __init__(
        self,
        view: View,
        *,
        recordings: Callable[[], RecordingFigures] = RecordingFigures,
        deliveries: Callable[[], DeliveryFigures] = DeliveryFigures,
    ) -> None:
        self._view = view
        self._recordings, self._deliveries = recordings, deliveries

    def collect(self) -> Iterator[Metric]:
        cameras = self._view.statuses()
        yield from _states(cameras)
        yield from _pictures(cameras)
        yield from _now(cameras)
        kept, out = self._recordings(), self._deliveries()
        size = GaugeMetricFamily("humandetect_recording_bytes", "Recordings that are kept.")
        size.add_metric([], kept.bytes)
        yield size
        deleted = CounterMetricFamily("humandetect_recording_deleted", "Recordings that made room.", labels=["reason"])
        for reason, count in kept.deleted.items():
            deleted.add_metric([reason], count)
        yield deleted
        sent = CounterMetricFamily("humandetect_events_sent", "Events by what came of them.", labels=["sink", "result"])
        for labels, count in out.sent.items():
            sent.add_metric(labels, count)
        yield sent
        queued = GaugeMetricFamily("humandetect_events_queued", "Events that wait to be sent.", labels=["sink"])
        for sink, count in out.queued.items():
            queued.add_metric([sink], count)
        yield queued
        lost = CounterMetricFamily("humandetect_not_kept", "What could not be written to --data.", labels=["what"])
        for what, count in out.not_kept.items():
            lost.add_metric([what], count)
        yield lost


def watch_registry(collector: WatchCollector) -> CollectorRegistry:
    """Return what a `watch` tells Prometheus: its cameras and its process."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def _states(cameras: Sequence[CameraStatus]) -> Iterator[Metric]:
    states = GaugeMetricFamily("humandetect_camera_state", "1 for the state it is in.", labels=["camera", "state"])
    for camera in cameras:
        for state in get_args(State):
            states.add_metric([camera.name, state], camera.state == state)
    yield states


def _pictures(cameras: Sequence[CameraStatus]) -> Iterator[Metric]:
    arrived = CounterMetricFamily("humandetect_camera_frames", "Pictures that arrived.", labels=["camera"])
    detected = CounterMetricFamily("humandetect_camera_detected", "Pictures looked at.", labels=["camera"])
    spared = CounterMetricFamily(
        "humandetect_camera_spared", "Pictures due, and not looked at as nothing moved.", labels=["camera"]
    )
    unrecorded = CounterMetricFamily(
        "humandetect_camera_unrecorded", "Packets due to be recorded, and not written.", labels=["camera"]
    )
    labels = ["camera", "reason"]
    dropped = CounterMetricFamily("humandetect_camera_dropped", "Pictures due, and not looked at.", labels=labels)
    again = CounterMetricFamily("humandetect_camera_reconnects", "Connections after a loss.", labels=labels)
    for camera in cameras:
        arrived.add_metric([camera.name], camera.frames)
        detected.add_metric([camera.name], camera.detected)
        spared.add_metric([camera.name], camera.spared)
        unrecorded.add_metric([camera.name], camera.unrecorded)
        for family, counts in ((dropped, camera.dropped), (again, camera.reconnects)):
            for reason, count in counts.items():
                family.add_metric([camera.name, reason], count)
    yield from (arrived, detected, spared, unrecorded, dropped, again)


def _now(cameras: Sequence[CameraStatus]) -> Iterator[Metric]:
    labels = ["camera"]
    delay = GaugeMetricFamily("humandetect_camera_delay_seconds", "Until a picture's people are known.", labels=labels)
    age = GaugeMetricFamily("humandetect_camera_last_picture_seconds", "Age of the newest picture.", labels=labels)
    people = GaugeMetricFamily("humandetect_camera_people", "People in the newest picture.", labels=labels)
    now = datetime.now(UTC)
    for camera in cameras:
        last = camera.last_picture
        values = (camera.delay_seconds, (now - last).total_seconds() if last else None, camera.people)
        for family, value in zip((delay, age, people), values, strict=True):
            if value is not None:
                family.add_metric([camera.name], value)
    yield from (delay, age, people)
