"""A run measures what there is, tells the truth about it, and leaves nothing behind."""

from __future__ import annotations

import functools
import signal
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import psutil
import pytest

from humandetect.bench.benchmark import BenchObserver, run
from humandetect.bench.figures import BenchInterrupted, read_report
from humandetect.bench.report_files import ReportFiles
from humandetect.bench.tables import change_grid, print_report
from humandetect.bench.targets import engines_of
from humandetect.bench.workload import find_reference
from humandetect.config import BenchConfig, BenchTarget, EngineConfig, ServeConfig, ServingConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import HumanDetectError, ServiceAway, ServiceError, SourceError, UsageError
from humandetect.media.sources import open_source
from humandetect.models.find import bundled
from tests.bench.figures import figures, report
from tests.children import children_with
from tests.command_line import COMMAND, error_line, invoke
from tests.fakes import FakeEngine
from tests.service.faults import Call, Faulty, good, problem
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.responses import Response

    from humandetect.bench.figures import BenchReport

OPENVINO = EngineConfig(engine="openvino")
SHORT: dict[str, Any] = {"concurrency": 2, "batch": 2, "requests": 3, "windows": 3}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with two frames of the sample."""
    folder = tmp_path_factory.mktemp("images")
    with open_source(str(bundled("examples/plaza.mp4")), SourceConfig(limit=2)) as source:
        for frame in source:
            cv2.imwrite(str(folder / f"{frame.index}.png"), frame.image)
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def reference_once() -> Iterator[None]:
    """Find the people of the same pictures once, not in each run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("humandetect.bench.benchmark.find_reference", functools.cache(find_reference))
        yield


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The real endpoint with the real model."""
    with running(ServeConfig(engine=OPENVINO)) as url:
        yield url


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


@contextmanager
def serving(answer: Callable[[Call], Response]) -> Iterator[str]:
    with running(Faulty(answer)) as url:
        yield url


def go(images: str, *urls: str, **options: Any) -> BenchReport:
    return run(BenchConfig(urls=urls, images=images, **(SHORT | options)))


def test_a_server_that_is_there_is_measured_in_both_modes(url: str, images: str) -> None:
    made = go(images, url)
    batch, stream = made.figures
    assert (batch.mode, batch.batch, stream.mode, stream.batch) == ("batch", 2, "stream", 1)
    assert (batch.good_images, stream.good_images) == (3 * 3 * 2, 3 * 3)
    assert (batch.requests, batch.errors) == (9, {})
    assert len(batch.windows_images_per_second) == 3
    assert 0 < (batch.p50_ms or 0) <= (batch.p95_ms or 0) <= (batch.p99_ms or 0)
    assert set(batch.stages_ms_per_image) == {"decode", "queue", "infer", "encode"}
    assert batch.stages_ms_per_image["infer"] > 0
    assert made.setting.model == "human_detection"
    assert made.image_count == 2
    assert made.targets[0].url == url
    assert not made.interrupted
    assert made.failures == []


def test_two_servers_take_turns(url: str, images: str) -> None:
    seen: list[str] = []

    class Progress(BenchObserver):
        def begin_window(self, what: str, *, number: int, windows: int, seconds_left: float) -> None:
            assert windows == 6
            seen.append(what.split(": ")[0])

        def stop(self) -> None:
            seen.append("stopped")

    other = url.replace("127.0.0.1", "localhost")
    run(BenchConfig(urls=(url, other), images=images, **(SHORT | {"batch": 1, "requests": 1})), progress=Progress())
    assert seen == [url, other, other, url, url, other, "stopped"]


def test_an_open_loop_reports_the_rate_that_was_asked(url: str, images: str) -> None:
    (figures,) = go(images, url, batch=1, rate=20.0, requests=2).figures
    assert figures.rate == 20.0
    assert figures.requests == 6


def test_a_server_that_finds_other_people_has_no_good_answers(images: str) -> None:
    with serving(good) as url:
        made = go(images, url, batch=1)
    assert made.figures[0].good_images == 0
    assert made.figures[0].errors == {"wrong people": 9}
    assert made.figures[0].images_per_second == 0
    assert "no good answer" in str(made.failures[0])
    assert any("does not say which model" in warning for warning in made.warnings)


def test_a_server_that_fails_now_and_then_is_told_by_kind(images: str) -> None:
    with serving(lambda call: problem(503) if call.number % 3 == 1 else good(call)) as url:
        made = go(images, url, batch=1)
    assert made.figures[0].errors["status 503"] == 3
    assert any("3 x status 503" in warning for warning in made.warnings)


def test_a_server_with_another_model_is_refused(images: str) -> None:
    with (
        running(ServeConfig(), detector=Detector(FakeEngine())) as url,
        pytest.raises(UsageError, match="runs another model: fake 1"),
    ):
        go(images, url)


def test_a_server_with_another_score_is_refused(url: str, images: str) -> None:
    with pytest.raises(UsageError, match="from a score of"):
        go(images, url, score=0.9)


def test_servers_with_different_scores_are_not_compared(url: str, images: str) -> None:
    with (
        running(ServeConfig(), detector=Detector(FakeEngine(), score=0.4)) as other,
        pytest.raises(UsageError, match="different scores"),
    ):
        go(images, url, other)


def test_where_no_server_is_the_run_ends_at_once(images: str) -> None:
    with pytest.raises(ServiceAway, match="no server answers at http://127"):
        go(images, "http://127.0.0.1:1")


def test_a_server_of_another_kind_is_refused(images: str) -> None:
    with serving(lambda call: problem(404)) as url, pytest.raises(ServiceError, match="status 404"):
        go(images, url)


def test_pictures_that_are_not_there_are_an_error() -> None:
    with pytest.raises(SourceError):
        go("nowhere.mp4", "http://127.0.0.1:1")


def test_an_old_report_of_other_pictures_is_refused_before_anything_is_measured(url: str, images: str) -> None:
    with pytest.raises(UsageError, match="differ in images"):
        run(BenchConfig(urls=(url,), images=images, **SHORT), old=report())


def test_what_an_old_report_does_not_hold_is_refused_before_anything_is_started(images: str) -> None:
    class Progress(BenchObserver):
        def say(self, what: str) -> None:
            pytest.fail(f"{what}: nothing may be done yet")

    far = report(figures(target="http://far"))
    two: dict[str, Any] = {"engines": ("openvino", "tensorflow")}
    with pytest.raises(UsageError, match=r"no target is the same: http://far then, openvino, tensorflow now"):
        run(BenchConfig(images=images, **two), progress=Progress(), old=far)
    with pytest.raises(UsageError, match=r"no load is the same: batch 20 x 16 then, stream 3 x 1 now"):
        run(BenchConfig(images=images, **two, concurrency=3, batch=1), progress=Progress(), old=report(figures()))


def test_a_server_is_compared_with_the_only_target_of_the_old_report(url: str, images: str) -> None:
    old = go(images, url, batch=1, requests=1)
    old.targets[:] = [replace(old.targets[0], name="openvino")]
    old.figures[:] = [replace(old.figures[0], target="openvino")]
    made = run(BenchConfig(urls=(url,), images=images, **(SHORT | {"batch": 1})), old=old)
    (row,) = change_grid(old, made).rows
    assert row[0] == f"openvino to {url}, stream 2 x 1"


def test_an_engine_without_http_is_measured(images: str) -> None:
    made = go(images, target="engine", engines=("openvino",), batch=4, requests=1)
    batch, stream = made.figures
    assert (batch.good_images, stream.good_images) == (3 * 4, 3)
    assert (batch.cpu_ms_per_image or 0) > 0
    assert (batch.peak_memory_mb or 0) > 50
    assert (made.targets[0].start_seconds or 0) > 0
    assert batch.stages_ms_per_image == {}


@pytest.mark.parametrize(
    ("target", "module"),
    [("server", "humandetect.service.process.spawned"), ("engine", "humandetect.bench.engine_load")],
)
def test_a_target_that_ends_costs_its_own_figures_only(target: BenchTarget, module: str, images: str) -> None:
    class Progress(BenchObserver):
        killed = False

        def end_window(self, images_per_second: float) -> None:
            if not self.killed:
                self.killed = True
                children_with(module)[0].kill()

    short: dict[str, Any] = SHORT | {"batch": 1}
    made = run(BenchConfig(images=images, target=target, engines=("openvino",), **short), progress=Progress())
    (figures,) = made.figures
    assert figures.good_images == 3  # of the first window
    assert len(made.failures) == 1
    assert "ended" in str(made.failures[0])
    assert not made.interrupted


def test_a_stop_gives_what_was_measured_until_then(url: str, images: str) -> None:
    stop = threading.Event()

    class Progress(BenchObserver):
        def end_window(self, images_per_second: float) -> None:
            stop.set()

    with pytest.raises(BenchInterrupted) as caught:
        run(BenchConfig(urls=(url,), images=images, **SHORT), progress=Progress(), stop=stop)
    made = caught.value.report
    assert made.interrupted
    assert len(made.figures) == 1
    assert made.figures[0].spread is None


def test_a_run_that_ends_before_its_pictures_are_read_has_a_report_too(
    images: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("humandetect.bench.benchmark.read_pictures", interrupted)
    with pytest.raises(BenchInterrupted) as caught:
        go(images, "http://me:sesame@127.0.0.1:1", api_key="sesame")
    made = caught.value.report
    assert made.figures == []
    assert "--url 'http://…@127.0.0.1:1' --concurrency 2 --batch 2" in made.command
    assert "sesame" not in made.command
    print_report(made)
    assert capsys.readouterr().out == "interrupted before the first figure\n"


def test_without_names_every_installed_engine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {""}
    monkeypatch.setattr("humandetect.engines.is_installed", lambda package: package not in missing)
    assert engines_of(BenchConfig()) == ["openvino", "tensorflow", "tf-serving"]
    missing.add("tensorflow")
    assert engines_of(BenchConfig()) == ["openvino"]
    assert engines_of(BenchConfig(engines=("tensorflow", "tensorflow"))) == ["tensorflow"]
    serving = EngineConfig(serving=ServingConfig(targets=("127.0.0.1:8500",)))
    assert engines_of(BenchConfig(engine=serving)) == ["openvino", "tf-serving"]


def test_an_engine_that_nobody_named_and_that_cannot_start_is_left_out_and_told(
    images: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["tf-serving", "openvino"]
    monkeypatch.setattr("humandetect.bench.targets.engines_of", lambda config: config.engines or names)
    nobody = ServingConfig(targets=("127.0.0.1:1",), timeout_seconds=0.1, patience_seconds=0.1)
    options: dict[str, Any] = {"engine": EngineConfig(serving=nobody), "target": "engine", "windows": 1, "batch": 1}
    made = go(images, **options)
    assert [one.target for one in made.figures] == ["openvino"]
    assert "tf-serving is left out: " in made.warnings[0]
    with pytest.raises(HumanDetectError, match=r"127\.0\.0\.1:1"):
        go(images, **options, engines=("tf-serving",))


def test_a_model_that_is_not_there_ends_the_run_before_anything_is_started() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        run(BenchConfig(engine=EngineConfig(model="nowhere")))


def test_a_server_that_an_engine_starts_counts_and_ends_with_it(
    images: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without HTTP, and when the run is interrupted: `nothing_left_behind` looks for processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    stop = threading.Event()

    class Progress(BenchObserver):
        def end_window(self, images_per_second: float) -> None:
            stop.set()

    config = BenchConfig(images=images, target="engine", engines=("tf-serving",), **SHORT)
    with pytest.raises(BenchInterrupted) as caught:
        run(config, progress=Progress(), stop=stop)
    memory = [one.peak_memory_mb or 0.0 for one in caught.value.report.figures]
    assert min(memory) > 500  # TensorFlow is in the server, not in the engine
    assert list(tmp_path.glob("humandetect-*")) == []


def test_the_command_starts_servers_writes_files_and_keeps_limits(url: str, images: str, tmp_path: Path) -> None:
    old, text = tmp_path / "old.json", tmp_path / "a.md"
    short = f"--images {images} --concurrency 2 --batch 2 --requests 1 --windows 3".split()
    written = f"--json {old} --markdown {text} --fail-if images/s<0.01".split()
    run = invoke("bench", "--engine", "openvino", *short, *written)
    assert run.returncode == 0, run.stderr
    assert "Batch: 2 images a request" in run.stdout
    assert "## Batch: 2 images a request" in text.read_text()
    made = read_report(old)
    assert (made.targets[0].name, made.targets[0].url) == ("openvino", None)
    assert (made.targets[0].start_seconds or 0) > 0
    assert (made.figures[0].peak_memory_mb or 0) > 50
    assert (made.figures[0].cpu_ms_per_image or 0) > 0
    run = invoke("bench", "--url", url, *short, "--compare", old, "--fail-if", "p50>0.001ms", "--quiet")
    assert (run.returncode, run.stdout) == (1, "")
    assert f"error: {url}, batch 2 x 2: p50 is" in run.stderr


def test_an_interrupted_command_leaves_a_partial_report_and_no_process(url: str, images: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    forever = ("--batch", "1", "--requests", "2", "--windows", "1000", "--verbose")
    command = [*COMMAND, "bench", "--url", url, "--images", images, *forever, "--json", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        windows = (line for line in process.stderr if "images/s" in line)
        for _ in range(2):
            next(windows)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "INTERRUPTED" in out
    assert read_report(path).interrupted
    assert not [child for child in children if child.is_running()]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--url", "http://127.0.0.1:1"], 1, "no server answers"),
        (["--url", "nonsense"], 2, "not the URL of a server"),
        (["--engine", "nonsense"], 2, "--engine must be one of auto, openvino"),
        (["--fail-if", "nonsense"], 2, "not understood"),
        (["--compare", "nowhere.json"], 1, "cannot read"),
        (["--json", "nowhere/a.json"], 1, "there is no folder"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments: list[str], code: int, words: str) -> None:
    run = invoke("bench", *arguments)
    assert (run.returncode, run.stdout) == (code, "")
    assert words in error_line(run)
    assert run.stderr.count("\n") == 1


def test_a_report_of_other_targets_is_a_mistake_in_one_line(images: str, tmp_path: Path) -> None:
    ReportFiles(json=tmp_path / "old.json").write(report(figures(target="http://127.0.0.1:8000")))
    engines = ("--engine", "openvino", "--engine", "tensorflow")
    run = invoke("bench", *engines, "--images", images, "--compare", tmp_path / "old.json")
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert "http://127.0.0.1:8000 then, openvino, tensorflow now" in error_line(run)


def test_files_can_be_none() -> None:
    assert ReportFiles().write(report()) == []
