"""Heatmap and report in a run: from detector to file, one page for all sources, whole or partial."""

from __future__ import annotations

import base64
import csv
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.config import CountingConfig, DetectConfig
from humandetect.detection.detector import Detector
from humandetect.errors import SinkError, UsageError
from humandetect.media.images import decode_image
from humandetect.media.reader import FrameReader
from humandetect.media.sources import open_source
from humandetect.pipeline.run import run
from humandetect.pipeline.summary import RunInterrupted
from tests.builders import make_clip
from tests.pipeline.test_run import write_picture
from tests.pipeline.test_stages import FRAMES, Street

if TYPE_CHECKING:
    from humandetect.media.sources import Source
    from humandetect.pipeline.summary import RunSummary

GATE = "gate=30%,0%,30%,100%"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=FRAMES, fps=10)


def report(*sources: Path, stop: threading.Event | None = None, **counting: Any) -> RunSummary:
    config = DetectConfig(sources=tuple(map(str, sources)), counting=CountingConfig(**counting))
    return run(config, detector=Detector(Street()), stop=stop)


def test_a_report_has_the_sums_of_the_counts_and_says_how_it_was_made(clip: Path, tmp_path: Path) -> None:
    page, counts = tmp_path / "report.html", tmp_path / "counts.csv"
    summary = report(clip, line=(GATE,), report=page, counts=counts)
    (row,) = csv.DictReader(counts.read_text(encoding="utf-8").splitlines())
    text = page.read_text(encoding="utf-8")
    cells = re.search(r'data-name="Line">gate</td><td data-name="In">(\d+)</td><td data-name="Out">(\d+)<', text)
    assert cells is not None
    assert cells.groups() == (row["in"], row["out"]) == ("1", "0")
    assert "crosses gate: in" in text
    assert text.count("data:image/jpeg") == 2, "the place, and who crossed"
    assert "<dd>fake 1</dd>" in text
    assert f"humandetect detect {clip} --line {GATE} --counts {counts} --report {page}" in text
    assert {str(path) for path in summary.outputs} == {str(page), str(counts)}, "and no video that nobody asked for"
    assert summary.tracks == 2, "a report implies tracks"


def test_of_a_live_source_times_are_those_of_the_clock_on_the_wall(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_live(*arguments: Any, **options: Any) -> Source:
        source = open_source(*arguments, **options)
        source.info, source.opened_at = replace(source.info, kind="live"), datetime(2026, 11, 26, 8, 59, 59, tzinfo=UTC)
        return source

    monkeypatch.setattr("humandetect.pipeline.run.open_source", open_live)
    monkeypatch.setattr("humandetect.pipeline.run.read_ahead", partial(FrameReader, buffer=2))  # which drops none
    report(clip, line=(GATE,), report=tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "26 November 2026, 08:59:59 to 09:00:01" in text
    assert "26 November 2026, UTC" in text, "the axis"
    assert "min:s from the start" not in text


def test_whom_is_hidden_in_the_run_is_hidden_in_the_report(clip: Path, tmp_path: Path) -> None:
    counting = CountingConfig(line=(GATE,), report=tmp_path / "report.html")
    run(DetectConfig((str(clip),), counting=counting, anonymize="fill"), detector=Detector(Street()))
    pictures = re.findall('base64,([^"]+)', (tmp_path / "report.html").read_text(encoding="utf-8"))
    _, crosses = (decode_image(base64.b64decode(data), max_megapixels=10) for data in pictures)
    assert crosses.std(axis=(0, 1)).max() < 3, "one colour"


def test_a_heatmap_shows_the_place_and_needs_no_tracks(clip: Path, tmp_path: Path) -> None:
    summary = report(clip, heatmap=tmp_path / "heat.png")
    assert (summary.outputs, summary.tracks) == ((tmp_path / "heat.png",), 0)
    image = decode_image((tmp_path / "heat.png").read_bytes(), max_megapixels=10)
    assert image.std(axis=(0, 1)).min() > 20, "a picture, not plain"


def test_several_sources_are_sections_of_one_page_and_a_heatmap_each(clip: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", frames=5, fps=10)
    report(clip, other, heatmap=tmp_path / "heat", report=tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [text.count(f"<h1>{path.name}</h1>") for path in (clip, other)] == [1, 1]
    assert text.count("<html") == text.count("</html>") == 1
    assert {path.name for path in (tmp_path / "heat").iterdir()} == {"clip.png", "other.png"}
    with pytest.raises(UsageError, match="several sources go into a folder"):
        report(clip, other, heatmap=tmp_path / "heat.png")


def test_interrupted_both_are_partial(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr("humandetect.pipeline.run.RunRecord.add", _then_stop(stop))
    with pytest.raises(RunInterrupted):
        report(clip, heatmap=tmp_path / "heat.png", report=tmp_path / "report.html", stop=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "heat.partial.png", "report.partial.html"}
    assert (tmp_path / "report.partial.html").read_text(encoding="utf-8").endswith("</html>\n")


def _then_stop(stop: threading.Event) -> Any:
    from humandetect.pipeline.summary import RunRecord

    add = RunRecord.add

    def add_and_stop(self: RunRecord, result: Any) -> None:
        add(self, result)
        stop.set()

    return add_and_stop


def test_pictures_have_no_report(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "1.png")
    summary = report(picture, heatmap=tmp_path / "heat.png", report=tmp_path / "report.html")
    assert summary.outputs == (tmp_path / "report.html",)
    assert "nothing to report" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"heatmap": Path("heat.jpg")}, r"a heatmap is written as \.png, got heat\.jpg"),
        ({"report": Path("report.pdf")}, r"a report is written as \.html, got report\.pdf"),
    ],
)
def test_other_endings_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        CountingConfig(**options)


@pytest.mark.parametrize("counting", [{"heatmap": Path("missing/heat.png")}, {"report": Path("missing/report.html")}])
def test_where_nothing_can_be_written_no_frame_is_read(clip: Path, counting: dict[str, Any]) -> None:
    with pytest.raises(SinkError, match="cannot write 'missing"):
        report(clip, **counting)
