"""The table of `eval`, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from humandetect.commands.terminal import printable
from humandetect.plural import counted, people

if TYPE_CHECKING:
    from humandetect.analytics.evaluate import Evaluation
    from humandetect.analytics.event_matching import EventScore


def print_evaluation(evaluation: Evaluation) -> None:
    """Print figures in percent, as papers have them, and what they leave out."""
    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    boxes, tracks, events = evaluation.boxes, evaluation.tracks, evaluation.events
    table.add_row("boxes", f"AP {boxes.ap:.1%}  AP50 {boxes.ap50:.1%}")
    if tracks is not None:
        table.add_row("tracks", f"MOTA {tracks.mota:.1%}  IDF1 {tracks.idf1:.1%}  HOTA {tracks.hota:.1%}")
        switches = counted(tracks.id_switches, "switch of ids", "switches of ids")
        table.add_row("", f"{counted(tracks.tracks, 'track')} for {people(tracks.people)}, {switches}")
    if events is not None:
        table.add_row("crossings", f"precision {events.precision:.1%}  recall {events.recall:.1%}  F1 {events.f1:.1%}")
        table.add_row("", f"{events.counted:,} counted of {events.true:,}, count error {events.count_error:.1%}")
    console.print(table)
    if events is not None:
        console.print(_lines_and_zones(events))
    nobody = evaluation.frames_without_people
    console.print(
        f"{counted(evaluation.frames, 'frame')} judged" + (f"; in {nobody:,} the truth has nobody" if nobody else "")
    )
    if evaluation.frames_without_truth:
        left_out = counted(evaluation.frames_without_truth, "frame")
        console.print(Text.assemble(("warning ", "yellow"), f"{left_out} of the results left out: no truth for them"))


def _lines_and_zones(events: EventScore) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("LINE OR ZONE", "TRUE", "COUNTED", "MATCHED", ""):
        table.add_column(heading, justify="left" if heading in ("LINE OR ZONE", "") else "right")
    for line in events.lines:
        off = "" if line.seconds_off is None else f"{line.seconds_off:.2f} s off"
        table.add_row(
            f"{printable(line.name)} {line.direction}", *map(str, (line.true, line.counted, line.matched)), off
        )
    for zone in events.zones:
        seconds = f"{zone.person_seconds:.1f} person-seconds of {zone.true_person_seconds:.1f}"
        table.add_row(printable(zone.name), *map(str, (zone.true, zone.counted, zone.matched)), seconds)
    return table


def print_evaluation_as_json(evaluation: Evaluation) -> None:
    """Print the figures as one object, shares as 0..1."""
    typer.echo(json.dumps(asdict(evaluation)))
