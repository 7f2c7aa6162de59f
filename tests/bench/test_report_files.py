"""A report says the same on the terminal, in files and in the picture, and is compared with its like only."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import cv2
import pytest

from humandetect.bench.figures import TargetFigures, read_report
from humandetect.bench.report_files import ReportFiles
from humandetect.bench.tables import change_grid, grids, markdown, print_report
from humandetect.errors import SinkError, SourceError, UsageError
from tests.bench.figures import figures, report

if TYPE_CHECKING:
    from pathlib import Path


def test_json_comes_back_as_the_same_report(tmp_path: Path) -> None:
    made = report()
    ReportFiles(json=tmp_path / "a.json").write(made)
    assert read_report(tmp_path / "a.json") == made
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["machine"]["cpus"] >= 1
    assert "numpy" in content["versions"]
    assert content["command"] == "humandetect bench"


def test_csv_has_a_row_for_each_load_and_target(tmp_path: Path) -> None:
    ReportFiles(csv=tmp_path / "a.csv").write(report(figures(errors={"timeout": 2}), figures(stages_ms_per_image={})))
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["images_per_second"] for row in rows] == ["60.0", "60.0"]
    assert [row["infer_ms_per_image"] for row in rows] == ["3.0", ""]
    assert rows[0]["errors"] == "2 x timeout"
    assert rows[0]["windows_images_per_second"] == "59.0 60.0 61.0"


def test_each_mode_is_a_table_with_the_engines_side_by_side() -> None:
    _, batch, stream = grids(report())
    assert (batch.title, stream.title) == ("Batch: 16 images a request", "Stream: 1 image a request")
    assert batch.head == ["at once", "", "openvino", "tensorflow"]
    assert batch.rows[0] == ["20 x 16", "images/s", "60.0", "30.0"]
    assert stream.rows[0] == ["20 x 1", "images/s", "60.0", "-"]


def test_several_loads_have_an_overview() -> None:
    *_, overview = grids(report(figures(), figures(concurrency=40, spread=0.5), figures(target="tensorflow")))
    assert overview.head == ["at once", "openvino", "tensorflow"]
    assert overview.rows[0] == ["batch, 20 x 16", "60.0, 130 ms", "60.0, 130 ms"]
    assert overview.rows[1] == ["batch, 40 x 16", "60.0, 130 ms UNSTABLE", "-"]


def test_markdown_and_terminal_hide_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    shaky = figures(spread=0.31, errors={"status 503": 7})
    made = report(shaky, warnings=["something"], interrupted=True)
    print_report(made)
    for text in (capsys.readouterr().out, markdown(made)):
        for words in (
            "UNSTABLE, 31%",
            "7 x status 503",
            "something",
            "INTERRUPTED",
            "machine: ",
            "versions: ",
            "command: ",
        ):
            assert words in text


def test_too_few_windows_are_not_called_stable() -> None:
    assert "only 2 windows" in markdown(report(figures(spread=None, windows_images_per_second=[1.0, 2.0])))


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_is_drawn(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    far = TargetFigures(
        "https://detect.example.com:8443", "", None, None, None, peak_memory_mb=None, gpu_memory_mb=None
    )
    some = (figures(), figures(concurrency=40, p95_ms=None), figures(target=far.name, concurrency=1, p95_ms=2.0))
    here = report(figures()).targets
    ReportFiles(plot=path).write(report(some[-1], targets=[far]))  # nobody's memory is known
    ReportFiles(plot=path).write(report(*some, targets=[*here, far]))
    if ending == "png":
        assert cv2.imread(str(path)) is not None
    else:
        text = path.read_text()
        assert "<svg" in text


def test_a_change_within_the_spread_is_noise() -> None:
    old = report(figures(), figures(mode="stream"), figures(concurrency=5))
    new = report(figures(images_per_second=62.0, p95_ms=65.0), figures(mode="stream", spread=None))
    first, second = change_grid(old, new).rows
    assert first == ["openvino, batch 20 x 16", "60.0 to 62.0", "+3% (noise)", "130 to 65.0 ms", "-50%", "5%"]
    assert second[-1] == "not known"


@pytest.mark.parametrize(("text", "error"), [("{}", UsageError), ("garbage", UsageError), (None, SourceError)])
def test_what_is_no_report_is_refused(text: str | None, error: type[Exception], tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "old.json").write_text(text)
    with pytest.raises(error, match=r"old\.json"):
        read_report(tmp_path / "old.json")


def test_what_cannot_be_written_is_found_first(tmp_path: Path) -> None:
    for files, error in (
        (ReportFiles(plot=tmp_path / "a.bmp"), UsageError),
        (ReportFiles(json=tmp_path / "a", csv=tmp_path / "a"), UsageError),
        (ReportFiles(json=tmp_path), SinkError),
        (ReportFiles(json=tmp_path / "none" / "a.json"), SinkError),
    ):
        with pytest.raises(error):
            files.check()


def test_a_load_without_a_good_answer_is_a_failure() -> None:
    (failure,) = report(figures(), figures(mode="stream", good_images=0, errors={"timeout": 3})).failures
    assert "no good answer (3 x timeout)" in str(failure)
