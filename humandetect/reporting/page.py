"""The report: one HTML page that needs nothing but itself, a section for each source."""

from __future__ import annotations

import base64
import statistics
from datetime import datetime, timedelta
from html import escape
from pathlib import Path, PurePath
from string import Template
from typing import TYPE_CHECKING

from humandetect.addresses import looks_like_address
from humandetect.analytics.report import WHOLE_PICTURE
from humandetect.media.images import encode_jpeg
from humandetect.plural import counted
from humandetect.reporting.axes import DAY, clock, said_seconds
from humandetect.reporting.charts import crossings_chart, dwell_chart, people_chart
from humandetect.reporting.heat_picture import COLOURS, draw_heat

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

    from humandetect.analytics.report import SourceReport
    from humandetect.media.frames import Event

_HERE = Path(__file__).parent
_SECTION = Template((_HERE / "section.html").read_text(encoding="utf-8"))
_HEAT = Template((_HERE / "heat.html").read_text(encoding="utf-8"))
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
HEAD = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>People counted by humandetect</title>
<style>
{(_HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
"""
TAIL = "</body>\n</html>\n"
NOTHING = "<p>There is nothing to report: no source was a video, or a camera that was counted at.</p>\n"
ONLY_COUNTS = (
    "Only counts and events were kept, and no boxes: there is nothing here of tracks, of the whole picture, of where "
    "people stood, and no pictures of them.\n"
)
GRADIENT_STOPS = 12


def section(report: SourceReport) -> str:
    """Return a source's part of the page."""
    return _SECTION.substitute(
        source=_text(report.source if looks_like_address(report.source) else PurePath(report.source).name or "-"),
        when=_when(report),
        cards="\n".join(_cards(report)),
        shapes=_lines(report) + _zones(report),
        charts="".join(_charts(report)),
        heat=_heat(report) if report.frames else "",
        missing="" if report.frames else ONLY_COUNTS,
        events=_events(report),
        made="\n".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in report.made.items()),
    )


def _heat(report: SourceReport) -> str:
    heat = draw_heat(report.heatmap)
    colours = (COLOURS[(len(COLOURS) - 1) * stop // (GRADIENT_STOPS - 1), ::-1] for stop in range(GRADIENT_STOPS))
    return _HEAT.substitute(
        picture=_data(encode_jpeg(heat.image)),
        colours=",".join(f"rgb({red},{green},{blue})" for red, green, blue in colours),
        scale="".join(f'<span style="left:{at:.1%}">{text}</span>' for at, text in heat.decades()),
    )


def _text(value: object) -> str:
    """Return what can stand anywhere in the page, whatever a name has in it, also bytes that are no UTF-8."""
    return escape(str(value).encode("utf-8", "backslashreplace").decode())


def _when(report: SourceReport) -> str:
    span = _span(report)
    if span is None:
        return f"{said_seconds(report.begin_seconds or 0.0)} to {said_seconds(report.end_seconds or 0.0)}"
    first, last = span[0], span[1] + timedelta(seconds=0.5)  # to the nearest second, as how long it was
    end_form = "%H:%M:%S" if first.date() == last.date() else "%d %B %Y, %H:%M:%S"
    return f"{first:%d %B %Y, %H:%M:%S} to {last:{end_form}}"


def _span(report: SourceReport) -> tuple[datetime, datetime] | None:
    """Return begin and end by the clock on the wall; None where it is not known."""
    if report.started is None:
        return None
    begin, end = (timedelta(seconds=seconds or 0.0) for seconds in (report.begin_seconds, report.end_seconds))
    return report.started + begin, report.started + end


def _clock(report: SourceReport) -> Callable[[float], str]:
    """Return how to say when something happened, with the day where there are several."""
    say, day, span = clock(report.started), clock(report.started, DAY), _span(report)
    if span is None or span[0].date() == span[1].date():
        return say
    return lambda seconds: f"{day(seconds)}, {say(seconds)}"


def _cards(report: SourceReport) -> Iterator[str]:
    gaps = counted(report.gaps, "gap") if report.gaps else "no gaps"
    if not report.frames:
        names = [*(("line", name) for name in report.lines), *(("zone", name) for name in report.zones)]
        covered = max((report.timeline.total(*name).covered_seconds for name in names), default=0.0)
        yield _card("Watched", said_seconds(covered), gaps)
        return
    everybody = report.timeline.total("zone", WHOLE_PICTURE)
    rate = report.detections_per_second
    looked = "a single look" if rate is None else f"{rate:.1f} detections a second"
    if everybody.mean is None:
        yield _card("People", f"{everybody.most}", looked)
    else:
        yield _card("People at a time", f"{everybody.mean:.1f}", f"on average; at most {everybody.most}", looked)
    ends = report.track_ends
    why = ": broken, or at a door" if ends.ended_inside else ""
    yield _card("Tracks", f"{ends.tracks:,}", f"{ends.ended_inside or 'none'} ended inside the picture{why}")
    unseen = [f"{report.kept_frames:,} of them with the boxes of an earlier one"] if report.kept_frames else []
    unseen += [f"{report.failed_frames:,} without an answer"] if report.failed_frames else []
    frames = ", ".join([counted(report.frames, "frame"), *(unseen or ["each looked at"])])
    yield _card("Watched", said_seconds(everybody.covered_seconds), gaps, frames)


def _card(name: str, value: str, *notes: str) -> str:
    said = "".join(f"<span>{note}</span>" for note in notes)
    return f'<div class="card"><b>{name}</b><strong>{value}</strong>{said}</div>'


def _lines(report: SourceReport) -> str:
    rows = []
    for name in report.lines:
        total = report.timeline.total("line", name)
        ways = [_way(report, name, way, count) for way, count in (("in", total.entered), ("out", total.left))]
        rows.append([_text(name), *ways, _doubt(report.reliability["line", name])])
    return _table("Lines", ("Line", "In", "Out", "In doubt"), rows)


def _way(report: SourceReport, line: str, way: str, count: int) -> str:
    said = report.said_way(line, way)
    return f"{count:,}" if said == way else f"{count:,} {_text(said)}"


def _zones(report: SourceReport) -> str:
    rows = []
    for name in report.zones:
        total, stays = report.timeline.total("zone", name), report.dwell_seconds[name]
        median = f"{statistics.median(stays):.1f} s" if stays else "-"
        mean = "-" if total.mean is None else f"{total.mean:.2f}"
        rows.append([
            _text(name), f"{total.visits:,}", median, mean, f"{total.most:,}", f"{total.person_seconds:,.0f}",
            _doubt(report.reliability["zone", name]),
        ])  # fmt: skip
    names = ("Zone", "Visits", "Median stay, at least", "People at a time", "At most", "Person-seconds", "In doubt")
    return _table("Zones", names, rows)


_DOUBTS = {"low_rate": "at a low rate", "short_track": "on a short track", "after_gap": "after a gap"}


def _doubt(reliability: Counter[str]) -> str:
    doubts = {kind: count for kind, count in sorted(reliability.items()) if kind != "ok"}
    if not doubts:
        return "none"
    kinds = ", ".join(f"{count:,} {_DOUBTS[kind]}" for kind, count in doubts.items())
    return f"{sum(doubts.values()):,} of {counted(reliability.total(), 'event')}: {kinds}"


def _charts(report: SourceReport) -> Iterator[str]:
    if report.frames:
        yield people_chart(report, WHOLE_PICTURE, "People in the picture")
    for name in report.lines:
        yield crossings_chart(report, name, f"{name}: {report.said_way(name, 'in')} and {report.said_way(name, 'out')}")
    for name in report.zones:
        yield people_chart(report, name, f"{name}: people inside")
        if stays := report.dwell_seconds[name]:
            yield dwell_chart(stays, f"{name}: how long visits lasted")


def _events(report: SourceReport) -> str:
    if not report.events:
        return ""
    say = _clock(report)
    rows = [
        [say(event.time_seconds), "" if picture is None else f'<img src="{_data(picture)}" alt="">',
         _what(event, report), "" if event.track_id is None else f"#{event.track_id}",
         "" if event.score is None else f"{event.score:.2f}", event.reliability.replace("_", " ")]
        for event, picture in sorted(report.events, key=lambda one: one[0].time_seconds)
    ]  # fmt: skip
    more = report.event_count - len(rows)
    rest = f'<p class="more">and {counted(more, "more event")}, which --events has all of</p>' if more else ""
    return _table("Events", ("Time", "", "What", "Track", "Score", "Reliability"), rows, kind="events") + rest


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _what(event: Event, report: SourceReport) -> str:
    where, stay = _text(event.line or event.zone or ""), f"{event.dwell_seconds or 0:.1f} s"
    match event.event:
        case "crossing":
            return f"crosses {where}: {_text(report.said_way(event.line, event.direction))}"
        case "enter":
            return f"enters {where}"
        case "exit":
            return f"leaves {where} after {stay}"
        case "loiter":
            return f"is in {where} for {stay}"
        case "crowd":
            return f"too many in {where}"
        case _:
            return f"{event.event}: {_text(event.reason or event.state or '')}"


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "sums") -> str:
    """Return a table under a title, empty without rows; its cells are HTML. A phone shows names beside its sums."""
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "\n".join(
        "<tr>" + "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names, row, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<h2>{title}</h2>\n<div class="table"><table class="{kind}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>\n"
    )
