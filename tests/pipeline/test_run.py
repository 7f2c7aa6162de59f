"""What a run of `detect` promises: order, bounds, complete files or partial ones, and no lost error."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import av
import pytest

from humandetect.config import DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.detection.finders import EngineFinder, detect_in_order, open_batcher
from humandetect.errors import EngineError, SinkError, SourceError, UsageError
from humandetect.media.sources import open_source
from humandetect.pipeline.python_api import detect_frames
from humandetect.pipeline.run import READ_AHEAD_FRAMES, _engine_finder, read_ahead, run
from humandetect.pipeline.summary import RunInterrupted, RunSummary
from tests.builders import frame, make_clip, picture
from tests.command_line import frame_lines
from tests.fakes import FakeEngine
from tests.watch.rtsp_farm import farm_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.media.frames import DetectedFrame, Frame
    from humandetect.media.sources import Source


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=20, fps=10, audio="aac")


@pytest.fixture
def detector() -> Detector:
    return Detector(FakeEngine())


def go(detector: Detector, *sources: Path | str, progress: Any = None, **options: Any) -> RunSummary:
    config = DetectConfig(sources=tuple(map(str, sources)), **options)
    return run(config, detector=detector, progress=progress)


def rows(path: Path) -> list[dict[str, Any]]:
    return frame_lines(path)


def frame_count(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def write_picture(path: Path) -> Path:
    import cv2

    path.write_bytes(cv2.imencode(path.suffix, picture())[1].tobytes())
    return path


def test_every_frame_comes_out_in_order(clip: Path, detector: Detector, tmp_path: Path) -> None:
    summary = go(detector, clip, output=tmp_path / "out.mp4", results=(str(tmp_path / "out.jsonl"),))
    assert [row["frame"] for row in rows(tmp_path / "out.jsonl")] == list(range(20))
    assert frame_count(tmp_path / "out.mp4") == 20
    assert summary.frames == summary.detected_frames == 20
    assert summary.people_most == 1
    assert set(summary.outputs) == {tmp_path / "out.mp4", tmp_path / "out.jsonl"}
    assert not summary.failures


def test_each_frame_keeps_its_own_answer(clip: Path, detector: Detector, tmp_path: Path) -> None:
    """The fake engine's score follows the shade of the picture, which grows by 8 a frame."""
    go(detector, clip, results=(str(tmp_path / "out.jsonl"),))
    scores = [row["people"][0]["score"] for row in rows(tmp_path / "out.jsonl")]
    assert scores == sorted(scores)
    assert scores[-1] - scores[0] == pytest.approx(19 * 8 / 1000, abs=0.02)


def test_every_second_frame_is_detected_and_boxes_are_kept_between(
    clip: Path, detector: Detector, tmp_path: Path
) -> None:
    summary = go(detector, clip, every=2, results=(str(tmp_path / "out.jsonl"),))
    lines = rows(tmp_path / "out.jsonl")
    assert [line.get("detected", True) for line in lines] == [True, False] * 10
    assert all(line["people"] for line in lines)
    assert lines[1]["people"] == lines[0]["people"]
    assert (summary.frames, summary.detected_frames) == (20, 10)


def test_with_nothing_asked_for_the_video_goes_to_the_next_free_name(
    clip: Path, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert go(detector, clip).outputs == (Path("clip_people.mp4"),)
    assert go(detector, clip).outputs == (Path("clip_people_2.mp4"),)


def test_several_sources_go_to_a_folder(clip: Path, detector: Detector, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", frames=5)
    image = write_picture(tmp_path / "image.png")
    summary = go(detector, clip, other, image, output=tmp_path / "out", results=(str(tmp_path / "all.jsonl"),))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.mp4", "image.png", "other.mp4"]
    assert [row["source"] for row in rows(tmp_path / "all.jsonl")] == [str(clip)] * 20 + [str(other)] * 5 + [str(image)]
    assert summary.frames == 26


def test_sources_of_the_same_name_do_not_overwrite_each_other(clip: Path, detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    twin = make_clip(tmp_path / "b" / "clip.mp4", frames=3)
    go(detector, clip, twin, output=tmp_path / "out")
    assert frame_count(tmp_path / "out" / "clip.mp4") == 20
    assert frame_count(tmp_path / "out" / "clip_2.mp4") == 3


def test_a_tree_of_sources_becomes_a_tree_of_results(
    clip: Path, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("in", "in/one"):
        Path(folder).mkdir(exist_ok=True)
        shutil.copy(clip, Path(folder) / "a.mp4")
    go(detector, "in/**/*.mp4", output=Path("out"))
    assert sorted(map(str, Path("out").rglob("*.mp4"))) == ["out/a.mp4", "out/one/a.mp4"]


def test_the_summary_tells_of_each_source_and_counts_what_was_cut_out(
    clip: Path, detector: Detector, tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    shutil.copy(clip, other)
    summary = go(detector, clip, other, crops=tmp_path / "people")
    assert [source.name for source in summary.sources] == [str(clip), str(other)]
    assert sum(source.frames for source in summary.sources) == summary.frames
    crops = list((tmp_path / "people").glob("*.jpg"))
    assert summary.pictures == {tmp_path / "people": len(crops)}
    assert crops


def test_a_csv_can_have_rows_for_frames_without_people(clip: Path, tmp_path: Path) -> None:
    nobody = Detector(FakeEngine(), score=1.0)
    for name, wanted in (("with.csv", True), ("without.csv", False)):
        go(nobody, clip, results=(str(tmp_path / name),), empty_rows=wanted)
    assert len((tmp_path / "with.csv").read_text().splitlines()) == 21
    assert len((tmp_path / "without.csv").read_text().splitlines()) == 1


def test_a_bad_source_is_named_and_the_others_are_done(clip: Path, detector: Detector, tmp_path: Path) -> None:
    missing = tmp_path / "missing.mp4"
    summary = go(detector, missing, clip, results=(str(tmp_path / "out.jsonl"),))
    assert summary.frames == 20
    assert len(summary.failures) == 1
    assert "missing.mp4" in str(summary.failures[0])


def test_a_bad_image_in_a_folder_is_named_and_the_others_are_done(detector: Detector, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        write_picture(folder / name)
    (folder / "b.png").write_bytes(b"not a picture")
    summary = go(detector, folder, output=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    assert ["b.png" in str(failure) for failure in summary.failures] == [True]


def test_the_output_must_not_be_an_input(clip: Path, detector: Detector, tmp_path: Path) -> None:
    before = clip.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    for output in (clip, link):
        with pytest.raises(UsageError, match="is the input"):
            go(detector, clip, output=output)
    with pytest.raises(UsageError, match="is the input"):
        go(detector, clip, output=tmp_path, results=(str(tmp_path / "x.jsonl"),))
    with pytest.raises(UsageError, match="is the input"):
        go(detector, clip, results=(str(clip),))
    assert clip.read_bytes() == before


@pytest.mark.parametrize("name", ["out.txt", "out.jpg"])
def test_a_video_goes_into_a_video_file(name: str, clip: Path, detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4"):
        go(detector, clip, output=tmp_path / name)


def test_a_missing_output_folder_is_said_before_anything_starts(clip: Path, detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="does not exist"):
        go(detector, clip, output=tmp_path / "nowhere" / "out.mp4")
    assert detector.engine.calls == []  # type: ignore[attr-defined]


class Interrupt:
    """A progress listener that presses Ctrl-C at a frame."""

    def __init__(self, at: int) -> None:
        self._left = at

    def start(self, _name: str, _total: int | None) -> None: ...

    def advance(self, _result: DetectedFrame) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt

    def behind(self, _seconds: float) -> None: ...

    def stop(self) -> None: ...


def test_ctrl_c_keeps_what_is_finished_under_a_partial_name(clip: Path, detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(RunInterrupted) as interrupted:
        go(
            detector,
            clip,
            output=tmp_path / "out.mp4",
            results=(str(tmp_path / "out.jsonl"),),
            progress=Interrupt(at=7),
        )
    assert not (tmp_path / "out.mp4").exists()
    assert frame_count(tmp_path / "out.partial.mp4") == 7
    assert len(rows(tmp_path / "out.partial.jsonl")) == 7
    summary = interrupted.value.summary
    assert summary.interrupted
    assert set(summary.outputs) == {tmp_path / "out.partial.mp4", tmp_path / "out.partial.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "out.partial.mp4", "out.partial.jsonl"}


def test_ctrl_c_is_the_normal_end_of_a_live_source(
    clip: Path, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_live(*arguments: Any, **options: Any) -> Source:
        source = open_source(*arguments, **options)
        source.info = replace(source.info, kind="live")
        return source

    monkeypatch.setattr("humandetect.pipeline.run.open_source", open_live)
    results = (str(tmp_path / "out.jsonl"),)
    summary = go(detector, clip, clip, output=tmp_path / "out", results=results, progress=Interrupt(at=1))
    assert summary.stopped
    assert not summary.interrupted
    assert not summary.failures
    assert len(rows(tmp_path / "out.jsonl")) == 1, "and the second source is not begun"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip.mp4"]


def test_a_camera_behind_a_thin_uplink_is_told_to_be_late(
    clip: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humandetect.pipeline.summary.LATE_SECONDS", 0.5)
    told: list[float] = []

    class Thin(Interrupt):
        def behind(self, seconds: float) -> None:
            told.append(seconds)
            if len(told) == 5:
                farm.change("door", rate=500)
            if seconds >= 0.5:
                raise KeyboardInterrupt

    with farm_in_thread({"door": str(clip)}) as farm:
        summary = go(detector, farm.url("door"), progress=Thin(at=1000))
    assert max(told[:5]) < 0.5
    assert any("late: the way to the camera carries less than it sends" in warning for warning in summary.warnings)


def test_what_was_repaired_is_told_also_when_ctrl_c_ends_a_live_source(clip: Path, detector: Detector) -> None:
    class Jump(Interrupt):
        def advance(self, _result: DetectedFrame) -> None:
            if self._left == 5:
                farm.change("door", jump=-5)
            super().advance(_result)

    with farm_in_thread({"door": str(clip)}) as farm:
        summary = go(detector, farm.url("door"), progress=Jump(at=8))
    assert summary.stopped
    assert any("went backwards or stood still" in warning for warning in summary.warnings), summary.warnings


@pytest.mark.parametrize("sources", [("0", "1"), ("rtsp://cam/a", "RTSPS://cam/b"), ("/dev/video0", "rtsp://cam/a")])
def test_several_live_sources_without_an_end_are_meant_for_watch(detector: Detector, sources: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"2 live sources, and .* has no end: .*`humandetect watch`"):
        go(detector, *sources)


def test_the_duration_of_a_live_source_begins_once_the_engine_has_started(
    tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "long.mp4", frames=400, fps=10, audio="aac")  # of which a busy machine needs more

    def open_live(*arguments: Any, **options: Any) -> Source:
        source = open_source(*arguments, **options)
        source.info = replace(source.info, kind="live")
        at_once = source._numbered  # type: ignore[attr-defined]

        def numbered() -> Iterator[Any]:
            for one in at_once():
                time.sleep(0.02)
                yield one

        source._numbered = numbered  # type: ignore[attr-defined]
        return source

    @contextmanager
    def open_slowly(*arguments: Any) -> Iterator[EngineFinder]:
        time.sleep(0.6)  # three seconds of that camera
        with _engine_finder(*arguments) as finder:
            yield finder

    monkeypatch.setattr("humandetect.pipeline.run.open_source", open_live)
    monkeypatch.setattr("humandetect.pipeline.run._engine_finder", open_slowly)
    config = DetectConfig(
        (str(clip),), output=tmp_path / "o.mp4", results=(str(tmp_path / "r.jsonl"),),
        source=SourceConfig(duration_seconds=2.0),
    )  # fmt: skip
    run(config, detector=detector)
    times = [json.loads(line)["time_seconds"] for line in (tmp_path / "r.jsonl").read_text().splitlines()[1:]]
    assert times[-1] - times[0] == pytest.approx(1.9, abs=0.5)
    with av.open(str(tmp_path / "o.mp4")) as written:
        for stream in (*written.streams.video, *written.streams.audio):
            assert stream.time_base is not None
            begin, length = ((ticks or 0) * stream.time_base for ticks in (stream.start_time, stream.duration))
            assert float(begin) == pytest.approx(0, abs=0.5)
            assert float(length) == pytest.approx(2, abs=0.6)


def test_the_limit_of_a_live_source_is_one_of_results(clip: Path) -> None:
    with open_source(str(clip), SourceConfig(limit=5)) as source:
        source.info = replace(source.info, kind="live")
        with read_ahead(source) as frames:
            frames._thread.join(60)  # it has read, and dropped, all that there is
            assert frames.dropped + frames.outdated == 20 - READ_AHEAD_FRAMES
            assert len(list(frames)) == READ_AHEAD_FRAMES


def test_an_engine_that_fails_in_mid_run_is_a_failure_and_finished_frames_are_kept(clip: Path, tmp_path: Path) -> None:
    summary = go(Detector(FakeEngine(fail_after=10)), clip, output=tmp_path / "out.mp4")
    assert [type(failure) for failure in summary.failures] == [EngineError]
    assert not (tmp_path / "out.mp4").exists()
    assert frame_count(tmp_path / "out.partial.mp4") == summary.frames > 0


def test_the_reader_does_not_run_ahead_of_a_slow_engine(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an engine that is stuck, only a bounded number of frames leaves the reader."""
    long_clip = make_clip(clip.with_name("long.mp4"), frames=200, fps=50)
    gate = threading.Event()
    taken = 0
    detector = Detector(FakeEngine(gate=gate))
    prepare = detector.prepare

    def counted(image: Any) -> Any:
        nonlocal taken
        taken += 1
        return prepare(image)

    monkeypatch.setattr(detector, "prepare", counted)
    threading.Timer(0.5, gate.set).start()
    results = detect_frames(long_clip, detector)
    next(results)
    assert taken < 30
    results.close()


def test_only_results_hold_no_pixels_and_crops_have_theirs(clip: Path, detector: Detector, tmp_path: Path) -> None:
    progress = Mock()
    results = (str(tmp_path / "people.jsonl"),)

    def held() -> set[bool]:
        return {any(call.args[0].frame.image.strides) for call in progress.advance.call_args_list}

    go(detector, clip, results=results, progress=progress)
    assert held() == {False}
    progress.reset_mock()
    go(detector, clip, results=results, crops=tmp_path / "crops", progress=progress)
    assert held() == {True}


def test_the_detector_of_the_caller_stays_open(clip: Path, detector: Detector, tmp_path: Path) -> None:
    go(detector, clip, results=(str(tmp_path / "out.jsonl"),))
    assert not detector.engine.closed  # type: ignore[attr-defined]


def test_limit_and_start_reach_the_source(clip: Path, detector: Detector, tmp_path: Path) -> None:
    go(
        detector,
        clip,
        output=tmp_path / "out.mp4",
        results=(str(tmp_path / "out.jsonl"),),
        source=SourceConfig(start_seconds=1.0, limit=5),
    )
    assert [row["frame"] for row in rows(tmp_path / "out.jsonl")] == [10, 11, 12, 13, 14]
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert next(video.decode(video=0)).time == 0


def test_the_summary_is_plain_json(clip: Path, detector: Detector, tmp_path: Path) -> None:
    summary = go(detector, clip, tmp_path / "missing.mp4", results=(str(tmp_path / "out.jsonl"),))
    plain = json.loads(json.dumps(summary.as_dict()))
    assert plain["frames"] == 20
    assert plain["outputs"] == [str(tmp_path / "out.jsonl")]
    assert "missing.mp4" in plain["failures"][0]


def test_the_sound_comes_along(clip: Path, detector: Detector, tmp_path: Path) -> None:
    go(detector, clip, output=tmp_path / "out.mp4")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "out.mp4")) as written:
        before = [bytes(packet) for packet in source.demux(audio=0) if packet.size]
        assert [bytes(packet) for packet in written.demux(audio=0) if packet.size] == before


def test_a_failure_leaves_older_results_alone(detector: Detector, tmp_path: Path) -> None:
    older = tmp_path / "out.jsonl"
    older.write_text("worth keeping")
    summary = go(detector, tmp_path / "missing.mp4", results=(str(older),))
    assert older.read_text() == "worth keeping"
    assert (summary.outputs, len(summary.failures)) == ((), 1)


def test_a_part_without_frames_is_a_failure(clip: Path, detector: Detector, tmp_path: Path) -> None:
    summary = go(detector, clip, output=tmp_path / "out.mp4", source=SourceConfig(start_seconds=100))
    assert "no frames" in str(summary.failures[0])
    assert not (tmp_path / "out.mp4").exists()


def test_a_file_that_fails_in_the_middle_is_kept_as_partial(
    clip: Path, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(ref: Any, config: Any, *, audio: bool) -> Any:
        source = open_source(ref, config, audio=audio)
        frames = iter(source)

        def fail_after_five() -> Iterator[Frame]:
            yield from itertools.islice(frames, 5)
            raise SourceError("the disk broke")

        monkeypatch.setattr(type(source), "__iter__", lambda _: fail_after_five())
        return source

    monkeypatch.setattr("humandetect.pipeline.run.open_source", broken)
    summary = go(detector, clip, output=tmp_path / "out.mp4")
    assert "the disk broke" in str(summary.failures[0])
    assert summary.outputs == (tmp_path / "out.partial.mp4",)
    assert frame_count(tmp_path / "out.partial.mp4") == 5


def test_a_folder_with_one_file_goes_into_a_folder(clip: Path, detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    clip.rename(tmp_path / "clips" / "clip.mp4")
    go(detector, tmp_path / "clips", output=tmp_path / "annotated")
    assert frame_count(tmp_path / "annotated" / "clip.mp4") == 20


def test_several_sources_do_not_fit_one_file(clip: Path, detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="into a folder"):
        go(detector, clip, clip, output=tmp_path / "out.mp4")


def test_two_outputs_of_one_name_are_refused(clip: Path, detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same name"):
        go(detector, clip, results=(str(tmp_path / "a.csv"), str(tmp_path / "a.csv")))


def test_stop_ends_a_run_as_ctrl_c_does(clip: Path, detector: Detector, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    config = DetectConfig(sources=(str(clip),), results=(str(tmp_path / "out.jsonl"),))
    with pytest.raises(RunInterrupted):
        run(config, detector=detector, stop=stop)


def test_every_nth_frame_is_detected_also_when_a_live_source_drops_frames(detector: Detector) -> None:
    indices = [0, 3, 7, 9, 11, 19, 21, 28, 31]
    with open_batcher(detector.info, detector.infer) as batcher:
        results = list(detect_in_order([frame(index) for index in indices], EngineFinder(detector, batcher), every=10))
    assert [result.frame.index for result in results if result.detected] == [0, 11, 21, 31]


@pytest.mark.parametrize(
    "options",
    [{"every": 0}, {"batch": 0}, {"score": 1.5}, {"results": "a.csv"}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DetectConfig(sources=("a.mp4",), **options)


@pytest.mark.parametrize(
    "options", [{"start_seconds": -1.0}, {"duration_seconds": 0.0}, {"limit": 0}, {"max_megapixels": 0.0}]
)
def test_parts_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SourceConfig(**options)
