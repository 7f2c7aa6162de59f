"""What `feed` promises: every frame comes out, in order and in time, whatever the server does."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from starlette.responses import JSONResponse, Response

from humandetect.client.detect_client import ImageOutcome
from humandetect.client.retrying import RetryingClient
from humandetect.config import CountingConfig, DetectConfig, EngineConfig, FeedConfig, ServeConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import ServiceAway, ServiceError, UsageError
from humandetect.feed import LARGEST_IMAGE_BYTES, Sender, run
from humandetect.media.images import decode_image
from humandetect.models.find import bundled
from humandetect.models.sizes import Preset
from humandetect.pipeline.run import run as detect
from humandetect.pipeline.summary import RunInterrupted, RunSummary
from tests.builders import make_clip
from tests.command_line import error_line, frame_lines, invoke
from tests.fakes import FakeEngine
from tests.pipeline.test_run import Interrupt, frame_count, rows
from tests.pipeline.test_stages import Street
from tests.service.faults import Call, Faulty, answers, good, out, problem
from tests.service.images import jpeg
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.media.frames import DetectedFrame

SAMPLE = str(bundled("examples/plaza.mp4"))


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two seconds with sound; the shade of the frames grows, so that they can be told apart."""
    return make_clip(tmp_path / "clip.mp4", frames=20, fps=10, audio="aac")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The real endpoint around the fake engine."""
    with running(ServeConfig(), detector=Detector(FakeEngine())) as url:
        yield url


def go(url: str, video: Path | str, *, progress: Any = None, **options: Any) -> RunSummary:
    settings: dict[str, Any] = {"results": ("out.jsonl",), "patience_seconds": 10.0, "source": SourceConfig()}
    settings["endpoint"] = "request"
    config = FeedConfig(sources=(str(video),), url=url, **(settings | options))
    return run(config, progress=progress)


@contextmanager
def serving(answer: Callable[[Call], Response]) -> Iterator[tuple[str, Faulty]]:
    app = Faulty(answer)
    with running(app) as url:
        yield url, app


@contextmanager
def posts() -> Iterator[list[str]]:
    """Note the paths of all that a client posts meanwhile."""
    paths: list[str] = []
    ask = RetryingClient.ask

    def noting(self: RetryingClient, method: str, path: str, *arguments: Any, **content: Any) -> Any:
        if method == "POST":
            paths.append(path)
        return ask(self, method, path, *arguments, **content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RetryingClient, "ask", noting)
        yield paths


def by_score(call: Call) -> Response:
    """Answer each image by its own shade, so that a mix-up shows."""
    shades = [float(decode_image(image, max_megapixels=1)[..., 2].mean()) for image in call.images]
    people = [[{"box": [1, 2, 30, 40], "score": shade / 255}] for shade in shades]
    return answers([out(name, people=found) for name, found in zip(call.ids, people, strict=True)])


def scores(path: str = "out.jsonl") -> list[float]:
    return [row["people"][0]["score"] for row in rows(Path(path))]


MODES: list[dict[str, Any]] = [
    {},
    {"concurrent": True},
    {"endpoint": "v1"},
    {"concurrent": True, "endpoint": "v1", "batch": 3},
]


@pytest.mark.parametrize("options", MODES)
def test_every_frame_is_answered_in_order_with_its_sound(clip: Path, url: str, options: dict[str, Any]) -> None:
    summary = go(url, clip, output=Path("out.mp4"), **options)
    assert (summary.frames, summary.detected_frames, summary.failed_frames) == (20, 20, 0)
    assert not summary.failures
    assert not summary.warnings
    assert summary.engine == url
    assert [row["frame"] for row in rows(Path("out.jsonl"))] == list(range(20))
    assert scores() == sorted(scores())
    assert scores()[-1] - scores()[0] == pytest.approx(19 * 8 / 1000, abs=0.02)
    with av.open(str(clip)) as source, av.open("out.mp4") as written:
        sound = [bytes(packet) for packet in source.demux(audio=0) if packet.size]
        assert [bytes(packet) for packet in written.demux(audio=0) if packet.size] == sound
    with av.open("out.mp4") as written:
        assert [frame.time for frame in written.decode(video=0)] == pytest.approx([index / 10 for index in range(20)])


def test_plain_is_one_frame_after_the_other(clip: Path) -> None:
    with serving(by_score) as (url, app):
        go(url, clip)
    assert app.most_at_once == 1
    assert [len(call.ids) for call in app.calls] == [1] * 20


def test_async_sends_batches_several_at_once_and_keeps_the_order(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "long.mp4", frames=100, fps=50)
    chance = random.Random(1)  # noqa: S311

    def now_and_then(call: Call) -> Response:
        time.sleep(chance.uniform(0.05, 0.3))
        return by_score(call)

    with serving(now_and_then) as (url, app):
        summary = go(url, clip, concurrent=True, batch=16, workers=4)
    assert summary.frames == 100
    assert [row["frame"] for row in rows(Path("out.jsonl"))] == list(range(100))
    shades = [index * 8 % 256 / 255 for index in range(100)]
    assert scores() == pytest.approx(shades, abs=0.03)
    assert max(len(call.ids) for call in app.calls) == 16
    assert 2 <= app.most_at_once <= 4


def test_the_picture_is_the_servers(clip: Path) -> None:
    """The faulty server's picture has red 240 on every frame, the clip's own grows from 0 to 152."""
    with serving(good) as (url, _):
        go(url, clip, output=Path("server.mp4"))
        go(url, clip, output=Path("own.mp4"), endpoint="v1", every=20)
    with av.open("server.mp4") as video:
        red = [frame.to_ndarray(format="rgb24")[..., 0].mean() for frame in video.decode(video=0)]
    assert all(value > 200 for value in red)
    with av.open("own.mp4") as video:
        assert next(video.decode(video=0)).to_ndarray(format="rgb24")[44:, 50:, 0].mean() < 60


@pytest.mark.parametrize("picture", ["/9j/AAAA", "other size"])
def test_boxes_are_drawn_here_where_the_servers_picture_is_no_use(picture: str, clip: Path) -> None:
    data = base64.b64encode(jpeg(200, 100)).decode() if picture == "other size" else picture
    with serving(lambda call: answers([out(name, annotated_image=data) for name in call.ids])) as (url, _):
        summary = go(url, clip, output=Path("out.mp4"))
    assert not summary.failures
    assert frame_count(Path("out.mp4")) == 20


@pytest.mark.parametrize("options", [{}, {"concurrent": True, "batch": 4}])
def test_results_alone_ask_for_no_picture(options: dict[str, Any], clip: Path, url: str) -> None:
    with posts() as paths:
        go(url, clip, endpoint="auto", **options)
        assert set(paths) == {"/v1/detect"}
        paths.clear()
        go(url, clip, endpoint="auto", output=Path("out.mp4"), **options)
        assert set(paths) == {"/request"}
    assert scores() == sorted(scores())


def test_a_report_needs_no_picture_of_the_server_and_names_it(clip: Path, url: str) -> None:
    with posts() as paths:
        go(url, clip, endpoint="auto", results=(), counting=CountingConfig(report=Path("report.html")))
        assert set(paths) == {"/v1/detect"}
    assert "<dt>Server</dt>" in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("endpoint", ["auto", "request"])
def test_tracks_are_made_and_drawn_here(endpoint: str, clip: Path) -> None:
    """The faulty server's picture, which knows no ids, has red 240 on every frame."""
    with serving(good) as (url, _):
        summary = go(url, clip, endpoint=endpoint, output=Path("out.mp4"), track=True)
    assert (summary.tracks, summary.failures) == (1, ())
    assert [person["track_id"] for row in rows(Path("out.jsonl")) for person in row["people"]] == [1] * 20
    with av.open("out.mp4") as video:
        assert next(video.decode(video=0)).to_ndarray(format="rgb24")[44:, 50:, 0].mean() < 60


def test_tracks_are_those_of_detect(clip: Path) -> None:
    """Weak boxes too, which continue them, by the scores of the server's model: here 0.8 starts no track."""
    choosy = Street()
    choosy.info = dataclasses.replace(choosy.info, preset=Preset(track_start_score=0.85, track_high_score=0.82))
    detect(DetectConfig((str(clip),), results=("detect.jsonl",), track=True), detector=Detector(choosy))
    with running(ServeConfig(), detector=Detector(choosy)) as url:
        go(url, clip, endpoint="auto", track=True)
    ids = [
        [[person["track_id"] for person in row["people"]] for row in rows(Path(name))]
        for name in ("detect.jsonl", "out.jsonl")
    ]
    assert ids[0] == ids[1]
    assert {number for frame in ids[0] for number in frame} == {None, 1}


def test_an_older_server_is_asked_in_its_own_way(clip: Path) -> None:
    with serving(lambda call: problem(404) if call.path == "/v1/detect" else by_score(call)) as (url, app):
        summary = go(url, clip, endpoint="auto", concurrent=True, workers=2, batch=4)
    assert (summary.frames, summary.failures) == (20, ())
    assert sum(call.path == "/v1/detect" for call in app.calls) <= 2
    assert scores() == sorted(scores())


def people_without_doubt(row: dict[str, Any]) -> list[list[float]]:
    return [person["box"] for person in row["people"] if person["score"] >= 0.35]


def test_feed_and_detect_find_the_same_people() -> None:
    """With the real model, the sample, and people within 0.1 of the threshold (0.5) aside."""
    engine, part = EngineConfig(engine="openvino", precision="f32"), SourceConfig(limit=12)
    detect(DetectConfig(sources=(SAMPLE,), results=("detect.jsonl",), engine=engine, source=part))
    with running(ServeConfig(engine=engine)) as url:
        for options in MODES:
            go(url, SAMPLE, source=part, **options)
            for row, other in zip(rows(Path("out.jsonl")), rows(Path("detect.jsonl")), strict=True):
                everyone = np.array([person["box"] for person in other["people"]])
                assert abs(len(row["people"]) - len(other["people"])) <= 3
                for box in people_without_doubt(row):
                    assert np.abs(everyone - box).max(axis=1).min() < 20
                for box in people_without_doubt(other):
                    assert np.abs(np.array([p["box"] for p in row["people"]]) - box).max(axis=1).min() < 20


def test_kept_boxes_stand_between_detected_frames(clip: Path) -> None:
    with serving(good) as (url, app):
        summary = go(url, clip, every=5, output=Path("out.mp4"))
    assert [row.get("detected", True) for row in rows(Path("out.jsonl"))] == [True, False, False, False, False] * 4
    assert (summary.frames, summary.detected_frames, len(app.calls)) == (20, 4, 4)


def bad_images(*indices: int) -> Callable[[Call], Response]:
    """Refuse the images whose shade says that they are these frames."""

    def answer(call: Call) -> Response:
        shades = [float(decode_image(image, max_megapixels=1)[..., 2].mean()) for image in call.images]
        bad = {name for name, shade in zip(call.ids, shades, strict=True) if round(shade / 8) in indices}
        reasons = [{"index": int(name), "id": name, "reason": "it was told to refuse it"} for name in sorted(bad)]
        if len(bad) == len(call.ids):
            errors = {"message": "all bad", "error_ids": call.ids, "reasons": reasons}
            return JSONResponse({**errors, "errors": errors}, 400)
        return answers([out(name) for name in call.ids if name not in bad], reasons)

    return answer


@pytest.mark.parametrize("options", [{}, {"concurrent": True, "batch": 8}])
def test_a_frame_that_fails_for_good_is_counted_and_stays_as_it_was(clip: Path, options: dict[str, Any]) -> None:
    with serving(bad_images(5, 13)) as (url, _):
        summary = go(url, clip, output=Path("out.mp4"), **options)
    assert (summary.frames, summary.failed_frames, summary.detected_frames) == (20, 2, 18)
    assert [str(failure) for failure in summary.failures] == [f"{url} did not answer for 2 of 20 frames"]
    assert "2 frames" in summary.warnings[0]
    assert "frame 5: it was told" in summary.warnings[0]
    lines = rows(Path("out.jsonl"))
    assert [line["frame"] for line in lines if "error" in line] == [5, 13]
    assert lines[5]["people"] == []
    with av.open("out.mp4") as video:
        red = [frame.to_ndarray(format="rgb24")[..., 0].mean() for frame in video.decode(video=0)]
    assert red[5] == pytest.approx(40, abs=15)
    assert red[13] == pytest.approx(104, abs=15)
    assert all(value > 200 for index, value in enumerate(red) if index not in (5, 13))


@pytest.mark.parametrize("status", [406, 413])
def test_a_batch_that_is_too_large_is_split(status: int, clip: Path) -> None:
    with serving(lambda call: problem(status) if len(call.ids) > 4 else by_score(call)) as (url, app):
        summary = go(url, clip, concurrent=True, batch=16, workers=1)
    assert (summary.frames, summary.failed_frames) == (20, 0)
    assert scores() == sorted(scores())
    if status == 406:  # a limit on the number of images is learnt
        assert sum(len(call.ids) > 4 for call in app.calls) <= 2


def test_the_limits_of_the_real_endpoint_are_respected(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "large.mp4", frames=12, width=640, height=480)
    for options in ({"max_images": 3}, {"max_images": 16, "max_image_mb": 0.02}):
        with running(ServeConfig(**options), detector=Detector(FakeEngine())) as url:
            for mode in MODES:
                summary = go(url, clip, **mode)
                assert (summary.frames, summary.failed_frames) == (12, 0 if "max_image_mb" not in options else 12)


def test_a_frame_that_breaks_the_server_costs_only_itself(clip: Path) -> None:
    def poisoned(call: Call) -> Response:
        answer = bad_images(7)(call)
        return problem(500, "the engine failed") if b"told to refuse" in bytes(answer.body) else answer

    with serving(poisoned) as (url, _):
        summary = go(url, clip, concurrent=True, batch=8)
    assert [row["frame"] for row in rows(Path("out.jsonl")) if "error" in row] == [7]
    assert summary.failed_frames == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda call: answers([out(name) for name in reversed(call.ids)]),
        lambda call: answers([out(name) for name in call.ids[1:]]),
        lambda _: Response('{"output'),
    ],
)
def test_answers_that_make_no_sense_cost_no_frame_if_smaller_requests_are_answered(
    wrong: Callable[[Call], Response], clip: Path
) -> None:
    with serving(lambda call: wrong(call) if len(call.ids) > 1 else by_score(call)) as (url, _):
        summary = go(url, clip, concurrent=True, batch=4)
    assert (summary.frames, summary.failed_frames) == (20, 0)
    assert scores() == sorted(scores())


def test_a_server_that_talks_nonsense_to_the_end_is_a_failure_and_the_film_stays_whole(clip: Path) -> None:
    with serving(lambda _: Response("<html>hello</html>")) as (url, _):
        summary = go(url, clip, output=Path("out.mp4"), concurrent=True)
    assert (summary.frames, summary.failed_frames) == (20, 20)
    assert "did not answer for any frame" in str(summary.failures[0])
    assert "Invalid JSON" in summary.warnings[0]
    assert frame_count(Path("out.mp4")) == 20


def test_a_server_that_fails_too_often_in_a_row_ends_the_run(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.feed.FAILURES_IN_A_ROW", 6)
    with serving(bad_images(*range(8, 20))) as (url, _):
        summary = go(url, clip, output=Path("out.mp4"))
    assert "6 in a row" in str(summary.failures[0])
    assert frame_count(Path("out.partial.mp4")) == 13


def test_an_overloaded_server_costs_nothing(clip: Path) -> None:
    with serving(lambda call: problem(503, Retry_After="0") if call.number % 3 == 0 else by_score(call)) as (url, _):
        summary = go(url, clip, concurrent=True, batch=2)
    assert (summary.frames, summary.failed_frames) == (20, 0)
    assert scores() == sorted(scores())


@pytest.mark.parametrize("options", [{}, {"concurrent": True, "batch": 4}])
def test_a_server_that_dies_and_comes_back_costs_nothing(options: dict[str, Any], clip: Path) -> None:
    enough = threading.Event()

    def note(call: Call) -> Response:
        if call.number == 2:
            enough.set()
        return by_score(call)

    done: list[RunSummary] = []
    with serving(note) as (url, _):
        thread = threading.Thread(target=lambda: done.append(go(url, clip, patience_seconds=60.0, **options)))
        thread.start()
        assert enough.wait(60)
    time.sleep(0.3)
    with running(Faulty(by_score), port=int(url.rpartition(":")[2])):
        thread.join(100)
    assert done[0].frames == 20
    assert (done[0].failed_frames, done[0].failures) == (0, ())
    assert scores() == sorted(scores())


def test_a_server_that_stays_away_ends_the_run_and_what_was_finished_is_kept(clip: Path) -> None:
    with serving(lambda call: problem(503) if call.number > 4 else by_score(call)) as (url, _):
        summary = go(url, clip, output=Path("out.mp4"), patience_seconds=0.5)
    assert isinstance(summary.failures[0], ServiceAway)
    assert summary.frames == frame_count(Path("out.partial.mp4")) == 5
    assert not Path("out.mp4").exists()


def test_a_wrong_key_ends_the_run_before_it_begins(clip: Path) -> None:
    with running(ServeConfig(api_key="sesame"), detector=Detector(FakeEngine())) as url:
        with pytest.raises(ServiceError, match="--api-key"):
            go(url, clip, output=Path("out.mp4"))
        assert go(url, clip, api_key="sesame").frames == 20
    assert not Path("out.mp4").exists()


def test_a_stuck_server_stops_the_reader_too(tmp_path: Path) -> None:
    """Only so many frames leave the reader as may be under way."""
    clip = make_clip(tmp_path / "long.mp4", frames=400, fps=50)
    seen: list[int] = []

    class Watch:
        def start(self, _name: str, _total: int | None) -> None: ...
        def advance(self, _result: DetectedFrame) -> None: ...
        def stop(self) -> None: ...
        def queue(self, frames: int) -> None:
            seen.append(frames)

    gate = threading.Event()
    threading.Timer(1, gate.set).start()
    with serving(lambda call: good(call) if gate.wait(60) else problem(500)) as (url, _):
        assert go(url, clip, progress=Watch(), concurrent=True, batch=8, workers=2).frames == 400
    assert max(seen) <= 8 * 3
    assert seen[-1] == 0


class Quiet(Interrupt):
    def queue(self, _frames: int) -> None: ...


def test_ctrl_c_does_not_wait_for_the_server(clip: Path) -> None:
    """The server answers seven frames and then nothing more; the interrupt comes while it is asked."""
    go_on = threading.Event()

    def stall(call: Call) -> Response:
        if call.number >= 7:
            go_on.wait(60)
        return by_score(call)

    with serving(stall) as (url, _):
        began = time.monotonic()
        with pytest.raises(RunInterrupted) as interrupted:
            go(url, clip, output=Path("out.mp4"), progress=Quiet(at=6))
        assert time.monotonic() - began < 50
        go_on.set()
    assert interrupted.value.summary.frames == frame_count(Path("out.partial.mp4")) == 6
    assert len(rows(Path("out.partial.jsonl"))) == 6


def test_large_frames_are_sent_smaller_rather_than_refused() -> None:
    sent: list[bytes] = []

    def ask(images: Any) -> list[ImageOutcome]:
        sent.extend(images)
        return [ImageOutcome([])] * len(images)

    noise = np.random.default_rng(1).integers(0, 255, (2160, 3840, 3), dtype=np.uint8)
    Sender(ask, jpeg_quality=95).send([noise])
    assert len(sent[0]) < LARGEST_IMAGE_BYTES


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 0},
        {"workers": 0},
        {"timeout_seconds": 0.0},
        {"timeout_seconds": float("nan")},
        {"patience_seconds": -1.0},
        {"jpeg_quality": 0},
        {"api_key": ""},
        {"every": 0},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        FeedConfig(**options)


# The command, as a person meets it.


def test_without_a_video_the_sample_is_fed(url: str) -> None:
    done = invoke("feed", "--limit", "5", "--async", HUMANDETECT_URL=url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"by {url}" in done.stderr
    assert frame_count(Path("plaza_people.mp4")) == 5


def test_results_and_the_summary_go_where_they_are_wanted(url: str, clip: Path) -> None:
    done = invoke("feed", clip, "--url", url, "--results", "-", "--endpoint", "v1", "--every", "2")
    assert [line["frame"] for line in frame_lines(done.stdout)] == list(range(20))
    done = invoke("feed", clip, "--url", url, "--results", "out.csv", "--json", "-q")
    assert json.loads(done.stdout)["detected_frames"] == 20
    assert done.stderr == ""
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "out.csv"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--url", "http://127.0.0.1:9"], 1, "humandetect serve"),
        (["--url", "http://127.0.0.1:9"], 1, "--spawn"),
        (["--url", "127.0.0.1:9"], 2, "http://127.0.0.1:8000"),
        (["missing.mp4"], 1, "missing.mp4"),
        (["--timeout", "0"], 2, "timeout"),
        (["--batch", "0"], 2, "batch"),
        (["--endpoint", "v2"], 2, "request"),
        (["--json", "--results", "-"], 2, "stdout"),
    ],
)
def test_a_mistake_is_one_clear_line_and_its_exit_code(arguments: list[str], code: int, words: str) -> None:
    done = invoke("feed", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert list(Path().iterdir()) == []
    if code == 1:
        error_line(done)


def test_frames_without_an_answer_are_told_and_the_exit_code_says_so(clip: Path) -> None:
    with serving(bad_images(5, 13)) as (url, _):
        done = invoke("feed", clip, "--url", url, "-o", "out.mp4")
    assert done.returncode == 1
    assert error_line(done) == f"error: {url} did not answer for 2 of 20 frames"
    assert "warning 2 frames not answered" in done.stderr
    assert "first frame 5: it was told to refuse it" in done.stderr
    assert frame_count(Path("out.mp4")) == 20


def test_an_interrupted_feed_leaves_a_playable_partial_video(tmp_path: Path) -> None:
    make_clip(tmp_path / "long.mp4", frames=400, fps=50, width=320, height=240)

    go_on = threading.Event()

    def slowly(call: Call) -> Response:
        go_on.wait(60 if call.number > 20 else 0.02)
        return good(call)

    arguments = ["feed", "long.mp4", "-o", "out.mp4", "--results", "-", "--async", "--batch", "4"]
    with serving(slowly) as (url, _):
        process = subprocess.Popen(
            [sys.executable, "-m", "humandetect", *arguments, "--url", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=50)
        go_on.set()
        assert process.returncode == 130, stderr
        assert b"interrupted after" in stderr
        assert frame_count(Path("out.partial.mp4")) >= 25
        assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "out.partial.mp4"]
