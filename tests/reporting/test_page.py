"""The report is one page that needs nothing else, whatever names it has to show."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from humandetect.analytics.report import SourceReport
from humandetect.media.frames import Event
from humandetect.reporting.page import HEAD, NOTHING, TAIL, section
from tests.analytics.test_report import reported, walk
from tests.analytics.walking import walked
from tests.service.browser import browsing
from tests.watch.happenings import count_row

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<script>alert("1")</script>\'"&$source\udcff'
VOID = {"meta", "img", "rect", "line"}


class Outline(HTMLParser):
    """The tags and texts of a page; fails at tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def page_of(report: SourceReport) -> str:
    return HEAD + section(report) + TAIL


@pytest.fixture(scope="module")
def busy() -> SourceReport:
    """The report of a walk over a line and through a zone."""
    report, _, _ = reported(walk())
    report.made = {"Model": "human_detection 2", "Score": "0.5"}
    return report


def test_it_asks_nobody_for_anything_and_runs_nothing(busy: SourceReport) -> None:
    outline = Outline(page_of(busy))
    policy = next(tag["content"] for name, tag in outline.tags if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not {"script", "link", "iframe", "object", "base"} & {name for name, _ in outline.tags}
    links = [value for _, tag in outline.tags for key, value in tag.items() if key in ("src", "href")]
    assert all(str(link).startswith("data:image/jpeg;base64,") for link in links)
    assert "url(" not in HEAD
    assert "@import" not in HEAD


def test_names_are_text_whatever_is_in_them() -> None:
    labels = {HOSTILE: {"in": f"{HOSTILE} in", "out": HOSTILE}}
    report = SourceReport({HOSTILE: HOSTILE}, lines=[HOSTILE], zones=[f"{HOSTILE} zone"], way_labels=labels)
    events = [
        Event(kind, "id", HOSTILE, 0.5, line=HOSTILE if kind == "crossing" else None, direction="in",
              zone=None if kind == "crossing" else f"{HOSTILE} zone", dwell_seconds=2.0, reason=HOSTILE)
        for kind in ("crossing", "enter", "exit", "loiter", "crowd", "gap")
    ]  # fmt: skip
    report.update(replace(walked(0, {1: (300, 200)}, source=HOSTILE), events=tuple(events)))
    report.update(walked(1, {1: (300, 200)}, source=HOSTILE))
    report.finish()
    outline = Outline(page_of(report))
    assert "script" not in {name for name, _ in outline.tags}
    assert "script>'\"&$source\\udcff" in outline.texts, "the name of a file in a folder"
    assert 'is in <script>alert("1")</script>\'"&$source\\udcff zone for 2.0 s' in outline.texts
    assert not any(key.startswith("on") for _, tag in outline.tags for key in tag)


def test_it_shows_the_sums_with_what_to_think_of_them(busy: SourceReport) -> None:
    texts = Outline(page_of(busy)).texts
    gate, door = busy.timeline.total("line", "gate"), busy.timeline.total("zone", "door")
    begin = texts.index("gate")
    assert texts[begin + 1 : begin + 5 : 1].count(str(gate.entered)) >= 1
    row = [text for text in texts[texts.index("Zone") :] if text]
    assert f"{door.person_seconds:,.0f}" in row
    assert {"3", "Tracks", "10.0 detections a second", "1 gap", "300 frames, each looked at"} <= set(texts)
    assert any(re.fullmatch(r"\d+ of \d+ events: .*after a gap.*", text) for text in texts)
    assert {"human_detection 2", "Score"} <= set(texts)


def test_ways_over_a_line_have_the_names_that_the_scene_gives_them(busy: SourceReport) -> None:
    labelled, _, _ = reported(walk(), way_labels={"gate": {"in": "entering", "out": "leaving"}})
    texts, plain = Outline(page_of(labelled)).texts, Outline(page_of(busy)).texts
    gate = busy.timeline.total("line", "gate")
    assert {f"{gate.entered} entering", f"{gate.left} leaving", "gate: entering and leaving"} <= set(texts)
    assert texts.count("crosses gate: entering") == plain.count("crosses gate: in") > 0
    assert "crosses gate: in" not in texts
    assert {"gate: in and out", str(gate.entered)} <= set(plain)


def test_the_same_run_gives_the_same_page(busy: SourceReport) -> None:
    again, _, _ = reported(walk())
    again.made = busy.made
    assert section(again) == section(busy)


def test_where_the_clock_is_known_times_are_its(busy: SourceReport) -> None:
    report, _, _ = reported(walk(), started=datetime(2026, 11, 26, 8, 59, 50, tzinfo=UTC))
    texts = Outline(page_of(report)).texts
    assert {"26 November 2026, 08:59:50 to 09:00:27", "09:00:00"} <= set(texts)


@pytest.mark.parametrize(("days", "said"), [(1, "08:01:40"), (2, "26 Nov, 08:01:40")])
def test_the_events_of_several_days_have_their_dates(days: int, said: str) -> None:
    report = SourceReport({}, started=datetime(2026, 11, 26, 8, tzinfo=UTC), lines=["gate"], row_seconds=60)
    for start in (0.0, (days - 1) * 86400.0):
        report.add_row(count_row(datetime(2026, 11, 26, 8, tzinfo=UTC), name="gate", start_seconds=start))
    report.note([Event("crossing", "c", "door", 100.0, line="gate", direction="in")])
    assert said in Outline(page_of(report)).texts


def test_more_events_than_it_has_room_for_are_counted(busy: SourceReport) -> None:
    many, _ = busy.events[0]
    report, _, _ = reported([replace(walked(second, {}), events=(many,) * 150) for second in range(2)])
    outline = Outline(page_of(report))
    assert [name for name, _ in outline.tags].count("tr") == 200 + 1 + 2 + 2, "events, their head, a line, a zone"
    assert "and 100 more events, which --events has all of" in outline.texts


@pytest.mark.parametrize("frames", [walk()[:1], [walked(0, {}), walked(1, {})], [walked(0, {}, failure="server away")]])
def test_one_frame_and_nobody_make_a_page_too(frames: list[Any]) -> None:
    report, _, _ = reported(frames)
    assert "People in the picture" in Outline(page_of(report)).texts
    without_scene = SourceReport({})
    without_scene.update(frames[0])
    without_scene.finish()
    assert {"Lines", "Zones", "Events"}.isdisjoint(Outline(page_of(without_scene)).texts)


def test_without_a_source_it_says_so() -> None:
    assert any("nothing to report" in text for text in Outline(HEAD + NOTHING + TAIL).texts)


def test_it_fits_a_phone_and_a_screen_light_and_dark(busy: SourceReport, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page_of(busy), encoding="utf-8")
    said: list[str] = []
    with browsing() as browser:
        for width, scheme in ((360, "light"), (1280, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
            page.on("console", lambda message: said.append(message.text))
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sides = page.evaluate("[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect().width)")
            assert min(sides) > 200
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (int(paper.split("(")[1].split(",")[0]) < 100) == (scheme == "dark")
    assert said == [], "not even that something was refused"
