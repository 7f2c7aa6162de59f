"""Results that `detect` saved, as the frames that they were: for the stages there is no difference."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import supervision as sv

from humandetect.config.counting import END_YEAR, FIRST_YEAR
from humandetect.errors import SourceError, UsageError
from humandetect.media.frames import DetectedFrame, Frame, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

ENDINGS = (".jsonl", ".ndjson", ".parquet")
EXPECTED = "what `detect --results` writes as JSON lines or Parquet"
MADE_ANEW = "detect again with --results-score 0.1, which keeps all that analyze needs"
MOST_PIXELS = 1e6
"""From the corner of a picture; nothing overflows."""
MOST_SCORE = 1.01
"""Models of 16 bits round to a little more than 1."""
MOST_SECONDS = 1e10
"""Of a source: 300 years, and a date can be said of each."""


class SavedSource(NamedTuple):
    """The results of one source."""

    provenance: Provenance
    frames: Iterator[DetectedFrame]
    """Without pixels; to be taken before the next source."""


class SavedResults:
    """A results file, read line by line, or of Parquet some rows at a time."""

    def __init__(self, path: Path) -> None:
        """Take the file; raises UsageError where the format does not hold what it takes."""
        if not path.name.lower().endswith(ENDINGS):
            raise UsageError(f"cannot analyze {str(path)!r}: only {', '.join(ENDINGS)} say how they were made")
        self.path = path
        self._is_parquet = path.suffix.lower() == ".parquet"
        self.warnings: list[str] = []
        """What was left out; complete after the last source."""

    def sources(self) -> list[str]:
        """Return the names of the sources, at the price of a look at every line."""
        if self._is_parquet:
            from humandetect.media.parquet_columns import read_made

            return [str(made.get("source")) for made in read_made(self.path)]
        found = []
        for _, line in self._lines():
            if '"people"' not in line:
                with suppress(
                    LookupError, RecursionError, TypeError, ValueError
                ):  # whoever reads it will say what is wrong
                    found.append(str(json.loads(line)["source"]))
        return found

    def __iter__(self) -> Iterator[SavedSource]:
        """Yield the sources in order. Raises SourceError, and UsageError that names the line that makes no sense."""
        is_empty = True
        for _, entries in groupby(self._entries(), key=lambda entry: entry[0]):
            is_empty = False
            said = (entry for _, entry in entries)
            provenance = next(said)
            if not isinstance(provenance, Provenance):
                raise UsageError(f"{self.path} does not say how the results were made: {MADE_ANEW}")
            yield SavedSource(provenance, (entry for entry in said if isinstance(entry, DetectedFrame)))
        if is_empty:
            raise UsageError(f"{self.path} has no line of results: expected {EXPECTED}")

    def _entries(self) -> Iterator[tuple[int, Provenance | DetectedFrame]]:
        """Yield what each line says, with the number of its source."""
        source = 0
        provenance: Provenance | None = None
        for place, line in self._records() if self._is_parquet else self._lines():
            try:
                entry = json.loads(line) if isinstance(line, str) else line
                if not isinstance(entry, dict):
                    raise TypeError(f"expected {EXPECTED}")
                if "people" not in entry:
                    source, provenance = source + 1, provenance_of(entry)
                    yield source, provenance
                else:
                    yield source, frame_of(entry, provenance)
            except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
                reason = f"there is no {error}; expected {EXPECTED}" if isinstance(error, KeyError) else error
                message = f"{place} is no line of results: {reason}"
                if not isinstance(line, str) or line.endswith("\n"):
                    raise UsageError(message) from error
                self.warnings.append(f"{message}; it is the last, and was left out: the run that wrote it did not end")

    def _records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        from humandetect.media.parquet_columns import read_records

        for number, record in enumerate(read_records(self.path), 1):
            yield f"{self.path}, record {number}", record

    def _lines(self) -> Iterator[tuple[str, str]]:
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                yield from ((f"{self.path}:{number}", line) for number, line in enumerate(file, 1) if line.strip())
        except OSError as error:
            raise SourceError(f"cannot read {str(self.path)!r}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is no text in UTF-8") from error


def provenance_of(entry: dict[str, Any]) -> Provenance:
    """Read how the results of a source were made. Raises LookupError, TypeError and ValueError."""
    width, height = entry["size"]
    start_score, high_score = entry["track_scores"]
    made = Provenance(
        source=str(entry["source"]),
        kind=str(entry["kind"]),
        size=(int(width), int(height)),
        every=int(entry["every"]),
        score=None if entry["score"] is None else float(entry["score"]),
        results_score=None if entry["results_score"] is None else float(entry["results_score"]),
        track_scores=(float(start_score), float(high_score)),
        started=_started(entry["started"]),
        settings={str(name): str(value) for name, value in entry["settings"].items()},
        humandetect=str(entry["humandetect"]),
    )
    if not 1 <= min(made.size) <= max(made.size) <= MOST_PIXELS:
        raise ValueError(f"a picture of {width} x {height}")
    return made


def _started(text: Any) -> str | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    if not FIRST_YEAR <= at.year < END_YEAR:
        raise ValueError(f"started {text}, expected a year from {FIRST_YEAR} to {END_YEAR}")
    return at.isoformat(timespec="milliseconds")


@lru_cache(maxsize=1)
def _without_pixels(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image of width and height that takes no memory; all frames share it, as nobody can draw on it."""
    return np.broadcast_to(np.uint8(0), (size[1], size[0], 3))


def _box(numbers: Any) -> Any:
    if len(numbers) != 4:
        raise ValueError(f"box {numbers}, expected [x1, y1, x2, y2]")
    return numbers


def _check(people: NDArray[np.float64]) -> None:
    """Raise ValueError unless boxes and scores, (n, 5), are some."""
    low, high, scores = people[:, :2], people[:, 2:4], people[:, 4]
    fits = (np.abs(people) <= MOST_PIXELS).all(1) & (low <= high).all(1) & (scores >= 0) & (scores <= MOST_SCORE)
    if not fits.all():
        *box, score = people[~fits][0].tolist()
        raise ValueError(f"box {box} with score {score}, expected x1 <= x2, y1 <= y2 and 0 to 1")


def frame_of(entry: dict[str, Any], provenance: Provenance | None) -> DetectedFrame:
    """Make of a line what the finder made: who is a person is a matter of the score, whatever tracks said later."""
    image = _without_pixels(provenance.size if provenance else (1, 1))
    frame = Frame(image, int(entry["frame"]), float(entry["time_seconds"]), str(entry["source"]))
    boxes = entry["people"]
    numbers = np.array([(*_box(box["box"]), box["score"]) for box in boxes], np.float64).reshape(len(boxes), 5)
    if provenance and provenance.kind != "image" and frame.source != provenance.source:
        raise ValueError(f"it is of {frame.source!r}, and stands among those of {provenance.source!r}")
    if not abs(frame.time_seconds) <= MOST_SECONDS:
        raise ValueError(f"time_seconds {frame.time_seconds}")
    _check(numbers)
    xyxy, scores = numbers[:, :4], numbers[:, 4]
    least = provenance.score if provenance else None
    strong = scores >= least if least is not None else np.array([not box.get("weak") for box in boxes], bool)
    return DetectedFrame(
        frame,
        sv.Detections(xyxy=xyxy[strong], confidence=scores[strong]),
        detected=bool(entry.get("detected", True)) and "error" not in entry,
        failure=entry.get("error"),
        weak=sv.Detections(xyxy=xyxy[~strong], confidence=scores[~strong]),
    )
