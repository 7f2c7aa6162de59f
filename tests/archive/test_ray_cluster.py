"""`archive --cluster`: the rows of plain `detect` from a real Ray of two machines, whatever it loses."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from ray.cluster_utils import Cluster

from humandetect.archive import ray_cluster, worker
from humandetect.archive.plan import find_plan
from humandetect.archive.ray_cluster import RayWorkers, place_of
from humandetect.archive.run import archive, merge
from humandetect.config import ArchiveConfig, EngineConfig
from humandetect.errors import EngineError
from humandetect.storage import FolderStorage, open_storage
from tests.archive import fake_parts
from tests.archive.clips import TEN, write_people
from tests.archive.fake_parts import HEAD, OTHER, held_by
from tests.archive.worker_here import Silent
from tests.command_line import error_line, invoke
from tests.fakes import FakeEngine
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.archive.attempts import Attempt, AttemptListener, Outcome
    from humandetect.archive.run import ArchiveSummary
    from tests.object_store import ObjectStore

PARTS = 5


@pytest.fixture(scope="module")
def cluster(object_store: ObjectStore) -> Iterator[Cluster]:
    """Two machines of a CPU each, one of which says that it has a GPU; both find the object store."""
    ray_says = {"metrics_report_interval_ms": 200}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in object_store.environment.items():
            patch.setenv(name, value)
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1, "node_ip_address": HEAD, "include_dashboard": False, "_system_config": ray_says,
            },
        )  # fmt: skip
        add_other(cluster)
        yield cluster
        cluster.shutdown()


def add_other(cluster: Cluster) -> Any:
    return cluster.add_node(num_cpus=1, num_gpus=1, node_ip_address=OTHER)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("video") / "a.mp4", frames=25 * PARTS, options=TEN)


@pytest.fixture
def config(cluster: Cluster, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveConfig:
    monkeypatch.setattr(ray_cluster, "make_part", fake_parts.held_part)
    return ArchiveConfig(sources=(str(video),), out=tmp_path / "out", segment_seconds=1, cluster=cluster.address)


@pytest.fixture(scope="module")
def plain(video: Path) -> bytes:
    """The rows of one worker that nothing happens to."""
    out = video.parent / "plain"
    config = ArchiveConfig(sources=(str(video),), out=out, segment_seconds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "load_engine", lambda _: FakeEngine())
        archive(replace(config, plan=True), Silent())
        plan = find_plan(FolderStorage(out))
        assert plan
        with worker.Worker(config) as one:
            for job in plan.jobs():
                list(one.work(job))
    return rows(out)


def rows(out: Path) -> bytes:
    assert not list(out.rglob(".*"))
    return merged(ArchiveConfig(out=out, merge=f"{out}.jsonl"))


def merged(config: ArchiveConfig) -> bytes:
    merge(config, [])
    return Path(config.merge or "").read_bytes()


class Machines(Silent):
    """Those that work and how many parts they made, by address."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self.parts: Counter[str] = Counter()

    def frames(self, _: int, attempt: Attempt) -> None:
        self.heard.add(attempt.node)

    def part(self, attempt: Attempt) -> None:
        self.parts[attempt.node] += 1


class Running:
    """An archive under way, of which a worker holds a segment."""

    def __init__(self, config: ArchiveConfig, progress: AttemptListener | None = None) -> None:
        self._summary: list[ArchiveSummary] = []
        self._thread = threading.Thread(target=lambda: self._summary.append(archive(config, progress or Silent())))
        self._thread.start()
        self.worker = held_worker(config)

    def outcome(self) -> Outcome:
        self._thread.join(60)
        return self._summary[0].outcome


def held_worker(config: ArchiveConfig) -> psutil.Process:
    held = held_by(config)
    eventually(lambda: held.exists() and held.read_text().endswith("\n"))
    return psutil.Process(int(held.read_text().split()[0]))


def test_a_killed_worker_costs_its_segment_a_try(
    config: ArchiveConfig, plain: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Running(config)
    run.worker.kill()
    outcome = run.outcome()
    assert (outcome.made, outcome.again, outcome.frames) == (PARTS, 1, 25 * PARTS)
    assert rows(Path(config.out)) == plain
    assert capsys.readouterr() == ("", "")


def test_from_and_to_an_object_store_it_costs_a_try_and_what_is_missing_is_made_alone(
    config: ArchiveConfig, plain: bytes, video: Path, bucket: str, object_store: ObjectStore, tmp_path: Path
) -> None:
    source, people = f"{bucket}/videos/a.mp4", f"{bucket}/people"
    open_storage(f"{bucket}/videos").write("a.mp4", video.read_bytes())
    there = replace(config, sources=(source,), out=people, merge=str(tmp_path / "there.jsonl"))
    run = Running(there)
    run.worker.kill()
    outcome = run.outcome()
    assert (outcome.made, outcome.again) == (PARTS, 1)
    open_storage(people).remove("a.mp4/000003.parquet")
    object_store.asked.clear()
    assert archive(there, Silent()).outcome.made == 1
    put = [one for one in object_store.asked if one.startswith("PUT")]
    assert put == [f"PUT {people.removeprefix('s3:/')}/a.mp4/000003.parquet"]
    assert merged(there) == plain.replace(bytes(video), source.encode())


def test_a_stopped_worker_is_given_up_and_ended(
    config: ArchiveConfig, plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Patient(Machines):
        def again(self, *_: object) -> None:
            monkeypatch.setattr(ray_cluster, "SILENT_SECONDS", 60)

    progress = Patient()
    run = Running(config, progress)
    eventually(lambda: OTHER in progress.heard)
    run.worker.suspend()
    eventually(lambda: progress.parts.total() == PARTS - 1)
    monkeypatch.setattr(ray_cluster, "SILENT_SECONDS", 0.5)
    outcome = run.outcome()
    assert (outcome.made, outcome.again) == (PARTS, 1)
    assert rows(Path(config.out)) == plain
    psutil.wait_procs([run.worker], 20)
    assert not run.worker.is_running()


def test_a_lost_machine_costs_its_segment_a_try(config: ArchiveConfig, plain: bytes, cluster: Cluster) -> None:
    run = Running(config)
    cluster.remove_node(next(node for node in cluster.worker_nodes if node.node_ip_address == OTHER))
    outcome = run.outcome()
    add_other(cluster)
    assert (outcome.made, outcome.again) == (PARTS, 1)
    assert rows(Path(config.out)) == plain


def test_after_a_killed_command_only_what_is_missing_is_made(
    config: ArchiveConfig, plain: bytes, video: Path, cluster: Cluster
) -> None:
    words = [sys.executable, "-m", fake_parts.__name__, cluster.address, str(video), str(config.out)]
    with subprocess.Popen(words) as command:
        held_worker(config)
        eventually(lambda: len(list(Path(config.out).glob("*/*.parquet"))) == PARTS - 1)
        command.kill()
    assert archive(config, Silent()).outcome.made == 1
    assert rows(Path(config.out)) == plain


def test_a_cluster_that_begins_with_nothing_is_waited_for_so_long(
    config: ArchiveConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("IDLE_SECONDS", 2), ("PATIENCE_SECONDS", 1), ("SILENT_SECONDS", 0.5)):
        monkeypatch.setattr(ray_cluster, name, value)
    monkeypatch.setattr(ray_cluster, "place_of", lambda *_: {"num_cpus": 3})
    with pytest.raises(EngineError, match=r"began with nothing for 2 s: it has 2 CPUs, 2 free, 1 GPUs, 1 free"):
        archive(config, Silent())
    assert "waiting up to 2 s" in caplog.text
    assert not list(Path(config.out).glob("failed/*"))


def test_another_version_on_a_machine_ends_the_run(config: ArchiveConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "__version__", "0.1")
    with pytest.raises(EngineError, match=r"127\.0\.0\.\d has humandetect .*, not 0\.1: install the same"):
        archive(config, Silent())
    assert not list(Path(config.out).glob("failed/*"))


def test_another_model_on_a_machine_ends_the_run(config: ArchiveConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "model_checksum", lambda _: "0123")
    with pytest.raises(EngineError, match=r"127\.0\.0\.\d has another model by the name of .*: install the same"):
        archive(config, Silent())
    assert not list(Path(config.out).glob("failed/*"))


@pytest.fixture(scope="module")
def on_gpus(cluster: Cluster, video: Path) -> Machines:
    """What worked on an archive for TensorFlow."""
    config = ArchiveConfig(
        sources=(str(video),), out=video.parent / "on_gpus", segment_seconds=1, cluster=cluster.address,
        engine=EngineConfig(engine="tensorflow"),
    )  # fmt: skip
    machines = Machines()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_cluster, "make_part", fake_parts.fake_part)
        archive(config, machines)
    return machines


def test_where_there_are_gpus_they_are_what_tensorflow_works_on(on_gpus: Machines) -> None:
    assert on_gpus.parts == {OTHER: PARTS}


@pytest.mark.parametrize(
    ("engine", "gpus", "place"),
    [
        ("tensorflow", 4, {"num_cpus": 1, "num_gpus": 1}),
        ("tensorflow", 0, {"num_cpus": 1}),
        ("auto", 4, {"num_cpus": 1}),
    ],
)
def test_a_task_asks_for_a_cpu_and_for_a_gpu_where_one_is_of_use(
    engine: Any, gpus: int, place: dict[str, float]
) -> None:
    assert place_of(ArchiveConfig(engine=EngineConfig(engine=engine)), {"CPU": 8, "GPU": gpus}) == place


@pytest.mark.usefixtures("on_gpus")
def test_prometheus_is_told_of_segments_and_frames_by_machine(cluster: Cluster) -> None:
    sample = re.compile(rf'ray_humandetect_archive_(\w+)_total{{.*node="{OTHER}".* ([\d.]+)')

    def told() -> bool:  # in this process runs add up
        with urllib.request.urlopen(f"http://{HEAD}:{cluster.head_node.metrics_export_port}/metrics") as answer:
            samples = sample.findall(answer.read().decode())
        frames, segments = (sum(float(n) for name, n in samples if name == one) for one in ("frames", "segments"))
        return frames >= 25 * PARTS and segments >= PARTS

    eventually(told)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionError("Failed to connect\nand a page"), "Failed to connect: does it run there, .* has .* its token"),
        (RuntimeError("Version mismatch\nand a page"), "Version mismatch$"),
        (RuntimeError(), "RuntimeError$"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_told_with_what_it_may_want(
    error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: object) -> None:
        raise error

    monkeypatch.setattr("ray.init", init)
    nothing: Any = None
    with pytest.raises(EngineError, match=f"cannot work on the Ray cluster 'there:6379': {told}"):
        RayWorkers(ArchiveConfig(out=tmp_path, cluster="there:6379")).run(nothing)


def test_jobs_are_for_this_machine(tmp_path: Path) -> None:
    run = invoke("archive", tmp_path, "--out", tmp_path / "out", "--cluster", "head:6379", "--jobs", "2")
    assert run.returncode == 2
    assert "--jobs is for this machine" in error_line(run)
