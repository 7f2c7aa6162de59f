"""Asking saved results again: the same bytes of events and counts as in the run that saved them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.config import AnalyzeConfig, CountingConfig, DetectConfig, SourceConfig
from humandetect.detection.detector import Detector
from humandetect.errors import SourceError, UsageError
from humandetect.media.images import decode_image
from humandetect.pipeline.analyze import analyze
from humandetect.pipeline.run import run
from tests.builders import make_clip
from tests.command_line import error_line, frame_lines, invoke
from tests.pipeline.test_run import write_picture
from tests.pipeline.test_stages import FRAMES, Street

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.pipeline.summary import RunSummary

SCENE: dict[str, Any] = {
    "line": ("gate=30%,0%,30%,100%",),
    "zone": ("door=70%,40%,100%,40%,100%,80%,70%,80%",),
    "per_seconds": 1.0,
}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=FRAMES, fps=10)


def counting(folder: Path) -> CountingConfig:
    folder.mkdir()
    return CountingConfig(**SCENE, events=str(folder / "events.jsonl"), counts=folder / "counts.csv")


def save(
    *sources: Path, results: Path | tuple[Path, ...], results_score: float | None = 0.1, **options: Any
) -> RunSummary:
    paths = results if isinstance(results, tuple) else (results,)
    config = DetectConfig(
        tuple(map(str, sources)), results=tuple(map(str, paths)), results_score=results_score, **options
    )
    return run(config, detector=Detector(Street()))


def ask(*results: Path, **options: Any) -> RunSummary:
    return analyze(AnalyzeConfig(results, **options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"every": 2},
        {"source": SourceConfig(start_seconds=0.4)},
        {"track": True},
    ],
    ids=str,
)
def test_saved_results_give_the_same_bytes(clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    unsteady = [k * k // 8 + k + 80 * (k > 15) for k in range(FRAMES)]  # with a gap at its end
    other = make_clip(tmp_path / "other.mp4", frames=FRAMES, fps=25, ticks=unsteady)
    for name in ("live", "saved"):
        asked = {"counting": counting(tmp_path / "live")} if name == "live" else {}
        save(clip, other, results=(tmp_path / f"{name}.jsonl", tmp_path / f"{name}.parquet"), **options | asked)
    for name in ("saved.jsonl", "live.jsonl", "saved.parquet", "live.parquet"):  # the live ones have ids already
        ask(tmp_path / name, counting=counting(tmp_path / f"again_{name}"))
        for file in ("events.jsonl", "counts.csv"):
            again = (tmp_path / f"again_{name}" / file).read_bytes()
            assert again == (tmp_path / "live" / file).read_bytes()
        assert b"other.mp4" in again, "the counts have both"
    assert b'"gap"' in (tmp_path / "live" / "events.jsonl").read_bytes()


def test_a_report_of_saved_results_has_the_same_numbers_over_a_given_picture(clip: Path, tmp_path: Path) -> None:
    save(clip, results=tmp_path / "r.jsonl", counting=CountingConfig(**SCENE, report=tmp_path / "live.html"))
    place = write_picture(tmp_path / "place.png")
    asked = CountingConfig(**SCENE, report=tmp_path / "asked.html", heatmap=tmp_path / "heat.png")
    ask(tmp_path / "r.jsonl", counting=asked, background=place)
    live, again = (
        re.sub('<img src="data:.*?"|<dt>Command.*</dd>', "", (tmp_path / name).read_text(encoding="utf-8"))
        for name in ("live.html", "asked.html")
    )
    assert live.replace(' alt="">', "") == again
    assert decode_image((tmp_path / "heat.png").read_bytes(), max_megapixels=10).std(axis=(0, 1)).min() > 20


def test_a_background_of_another_shape_or_without_use_is_refused(tmp_path: Path) -> None:
    save(make_clip(tmp_path / "wide.mp4", frames=3, width=128), results=tmp_path / "r.jsonl")
    place = write_picture(tmp_path / "place.png")
    with pytest.raises(UsageError, match=r"--background is 64x48 and the pictures of .* are 128x48"):
        ask(tmp_path / "r.jsonl", counting=CountingConfig(heatmap=tmp_path / "heat.png"), background=place)
    with pytest.raises(SourceError, match=r"cannot read '.*wide\.mp4': not an image.*; --background takes one picture"):
        ask(tmp_path / "r.jsonl", counting=CountingConfig(heatmap=tmp_path / "h.png"), background=tmp_path / "wide.mp4")
    with pytest.raises(UsageError, match="give --heatmap or --report"):
        AnalyzeConfig((tmp_path / "r.jsonl",), results=("a.csv",), background=place)


def test_a_gap_in_saved_results_is_a_gap(clip: Path, tmp_path: Path) -> None:
    save(clip, results=tmp_path / "r.jsonl")
    begin, *lines = map(json.loads, (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines())
    for line in lines[10:]:
        line["time_seconds"] += 60
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, (begin, *lines))) + "\n", encoding="utf-8")
    ask(tmp_path / "r.jsonl", counting=counting(tmp_path / "asked"))
    events = map(json.loads, (tmp_path / "asked" / "events.jsonl").read_text(encoding="utf-8").splitlines())
    assert [event["event"] for event in events].count("gap") == 1


def test_the_first_line_says_how_the_results_were_made(clip: Path, tmp_path: Path) -> None:
    save(clip, results=tmp_path / "r.jsonl", every=3)
    begin = json.loads((tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert (begin["source"], begin["kind"], begin["size"], begin["every"]) == (str(clip), "video", [64, 48], 3)
    assert (begin["score"], begin["results_score"], begin["track_scores"]) == (0.5, 0.1, [0.5, 0.3])
    assert begin["settings"]["model"] == "fake 1"
    assert begin["humandetect"]


def test_results_without_weak_boxes_are_taken_with_a_warning(clip: Path, tmp_path: Path) -> None:
    save(clip, results=tmp_path / "r.jsonl", results_score=None)
    summary = ask(tmp_path / "r.jsonl", counting=counting(tmp_path / "asked"))
    assert "--results-score 0.1" in summary.warnings[0]
    assert "crossing" in (tmp_path / "asked" / "events.jsonl").read_text(encoding="utf-8")


def test_ids_can_be_written_into_results_of_any_format(clip: Path, tmp_path: Path) -> None:
    save(clip, results=tmp_path / "live.jsonl", track=True)
    save(clip, results=tmp_path / "saved.jsonl")
    summary = ask(tmp_path / "saved.jsonl", results=(str(tmp_path / "ids.jsonl"), str(tmp_path / "ids.mot.txt")))
    ids = [
        [[person["track_id"] for person in line["people"] if "weak" not in person] for line in frame_lines(path)]
        for path in (tmp_path / "live.jsonl", tmp_path / "ids.jsonl")
    ]
    assert ids[0] == ids[1]
    assert summary.tracks == 2
    assert (tmp_path / "ids.mot.txt").read_text(encoding="utf-8").startswith("1,1,")


def test_pictures_are_left_out_with_a_warning(clip: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "photo.png")
    save(picture, clip, results=tmp_path / "r.jsonl")
    summary = ask(tmp_path / "r.jsonl", counting=counting(tmp_path / "asked"))
    assert any("photo.png" in warning and "left out" in warning for warning in summary.warnings)
    assert summary.frames == FRAMES


def test_a_report_and_a_heatmap_need_no_picture(clip: Path, tmp_path: Path) -> None:
    save(clip, results=tmp_path / "r.jsonl")
    wanted = CountingConfig(**SCENE, report=tmp_path / "report.html", heatmap=tmp_path / "heat.png")
    ask(tmp_path / "r.jsonl", counting=wanted)
    assert "gate" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "heat.png").stat().st_size > 1000


def test_heatmaps_of_several_sources_go_into_a_folder(clip: Path, tmp_path: Path) -> None:
    save(clip, clip, results=tmp_path / "r.jsonl")
    with pytest.raises(UsageError, match="folder"):
        ask(tmp_path / "r.jsonl", counting=CountingConfig(heatmap=tmp_path / "heat.png"))
    ask(tmp_path / "r.jsonl", counting=CountingConfig(heatmap=tmp_path / "heat"))
    assert len(list((tmp_path / "heat").iterdir())) == 2


def test_the_command_says_what_is_wrong_and_needs_something_to_do(clip: Path, tmp_path: Path) -> None:
    save(clip, results=tmp_path / "r.jsonl")
    nothing = invoke("analyze", tmp_path / "r.jsonl")
    assert nothing.returncode == 2
    assert "give --events" in error_line(nothing)
    done = invoke("analyze", tmp_path / "r.jsonl", "--line", SCENE["line"][0], "--events", "-", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["event"] == "crossing"
    assert invoke("analyze", tmp_path / "none.jsonl", "--heatmap", "h.png").returncode == 1
