from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from humandetect.service import METRICS_FOLDER
from humandetect.service.metrics import Metrics, Timings

if TYPE_CHECKING:
    from pathlib import Path

TIMINGS = Timings(decode=0.002, queue=0.0001, infer=0.02, encode=0.2)
WORKER = """
from humandetect.service.metrics import Metrics, Timings
metrics = Metrics()
metrics.model(name="human_detection", version="1", engine="openvino")
metrics.queue_changed(2)
metrics.image(people=3, timings=Timings(decode=0.002, queue=0.0001, infer=0.02, encode=0.2))
metrics.request(route="/request", status=200, seconds=0.3)
metrics.batch(2)
print("written", flush=True)
input()
"""
READER = """
from humandetect.service.metrics import Metrics
body, kind = Metrics().exposition()
print(body.decode())
"""


def samples(text: str) -> dict[str, float]:
    """Every sample as {'name{label="value"}': number}."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def exposed(metrics: Metrics) -> dict[str, float]:
    body, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    return samples(body.decode())


def test_a_request_is_counted_by_route_and_status() -> None:
    metrics = Metrics()
    metrics.request(route="/request", status=200, seconds=0.02)
    metrics.request(route="/request", status=200, seconds=40)
    metrics.request(route="/request", status=503, seconds=0.0001)
    found = exposed(metrics)
    assert found['humandetect_requests_total{route="/request",status="200"}'] == 2
    assert found['humandetect_requests_total{route="/request",status="503"}'] == 1
    assert found['humandetect_request_seconds_bucket{le="0.001",route="/request"}'] == 1
    assert found['humandetect_request_seconds_bucket{le="0.025",route="/request"}'] == 2
    assert found['humandetect_request_seconds_bucket{le="30.0",route="/request"}'] == 2
    assert found['humandetect_request_seconds_count{route="/request"}'] == 3


def test_an_image_is_counted_with_its_people_and_the_time_of_each_stage() -> None:
    metrics = Metrics()
    metrics.image(people=3, timings=TIMINGS)
    metrics.image(people=0, timings=TIMINGS)
    metrics.bad_image()
    found = exposed(metrics)
    assert found['humandetect_images_total{outcome="ok"}'] == 2
    assert found['humandetect_images_total{outcome="bad"}'] == 1
    assert found["humandetect_people_total"] == 3
    for stage in ("decode", "queue", "infer", "encode"):
        total = found[f'humandetect_stage_seconds_sum{{stage="{stage}"}}']
        assert total == pytest.approx(2 * getattr(TIMINGS, stage))


def test_batches_images_under_way_and_the_model_are_told() -> None:
    metrics = Metrics()
    metrics.batch(1)
    metrics.batch(16)
    metrics.queue_changed(5)
    metrics.queue_changed(-2)
    metrics.model(name="human_detection", version="1", engine="openvino")
    found = exposed(metrics)
    assert found['humandetect_batch_size_bucket{le="1.0"}'] == 1
    assert found['humandetect_batch_size_bucket{le="16.0"}'] == 2
    assert found["humandetect_batch_size_sum"] == 17
    assert found["humandetect_images_under_way"] == 3
    assert found['humandetect_model_info{engine="openvino",model="human_detection",version="1"}'] == 1


def test_what_has_not_happened_yet_is_zero_rather_than_missing() -> None:
    found = exposed(Metrics())
    assert found['humandetect_images_total{outcome="ok"}'] == found['humandetect_images_total{outcome="bad"}'] == 0
    assert found["humandetect_images_under_way"] == 0


def test_two_apps_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.bad_image()
    assert exposed(second)['humandetect_images_total{outcome="bad"}'] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="these come from /proc")
def test_the_process_itself_is_told() -> None:
    found = exposed(Metrics())
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert any(name.startswith("python_info") for name in found)


def test_threads_lose_no_count() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.queue_changed(1)
            metrics.image(people=1, timings=TIMINGS)
            metrics.queue_changed(-1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = exposed(metrics)
    assert found["humandetect_people_total"] == 2000
    assert found["humandetect_images_under_way"] == 0


def test_counting_costs_nothing_that_an_image_would_feel() -> None:
    metrics = Metrics()
    started = time.thread_time()
    for _ in range(1000):
        metrics.image(people=1, timings=TIMINGS)
    assert time.thread_time() - started < 1  # 1 ms each, where some 10 microseconds are usual


def python(folder: Path, code: str) -> subprocess.Popen[str]:
    environment = {**os.environ, METRICS_FOLDER: str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def read(folder: Path) -> dict[str, float]:
    """Scrape as one more worker would, one that counted nothing."""
    with python(folder, READER) as reader:
        text, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    return samples(text)


def start_worker(folder: Path) -> subprocess.Popen[str]:
    worker = python(folder, WORKER)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "written\n"
    return worker


def test_any_worker_tells_the_sum_of_all_and_the_dead_keep_their_counts_but_not_their_gauges(tmp_path: Path) -> None:
    with start_worker(tmp_path) as first, start_worker(tmp_path) as second:
        found = read(tmp_path)
        assert found["humandetect_people_total"] == 6
        assert found['humandetect_images_total{outcome="ok"}'] == 2
        assert found['humandetect_requests_total{route="/request",status="200"}'] == 2
        assert found['humandetect_stage_seconds_count{stage="infer"}'] == 2
        assert found['humandetect_stage_seconds_bucket{le="0.025",stage="infer"}'] == 2
        assert found["humandetect_batch_size_sum"] == 4
        assert found["humandetect_images_under_way"] == 4
        assert found['humandetect_model_info{engine="openvino",model="human_detection",version="1"}'] == 1
        assert not any("pid=" in name for name in found)

        first.kill()  # with two images under way; not reaped yet: its process id still exists
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
        found = read(tmp_path)
        assert found["humandetect_images_under_way"] == 2
        assert found["humandetect_people_total"] == 6

        first.wait()
        second.communicate("\n", timeout=30)
        found = read(tmp_path)
        assert found["humandetect_images_under_way"] == 0
        assert found["humandetect_people_total"] == 6
        assert not any(name.startswith("humandetect_model_info") for name in found)
