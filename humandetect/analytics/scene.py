"""What is counted: lines and zones, as a scene file and options draw them."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humandetect.analytics.shapes import DEFAULT_MARGIN, Line, PictureScene, Zone, fault_of, is_outside, kind_of
from humandetect.config.toml_lines import KeyPath, LocatedToml
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from humandetect.analytics.shapes import Point, Size

MOST_SHAPES = 64
MOST_COORDINATE = 1e6
"""No picture is larger, and nothing overflows."""
_SHOWN = 60
"""Characters of a value in an error."""
_ASPECT_TOLERANCE = 0.01
_NAME = re.compile(r"[^\W_](?:[\w .-]{0,38}[\w.-])?")
_LONGEST_NAME = 80
"""With a mark on each letter."""
_LINE_KEYS = ("name", "from", "to", "in", "out", "margin")
_ZONE_KEYS = ("name", "points", "loiter_seconds", "max_people")
_SHAPE_KEYS = ("size", "line", "zone")


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A shape with what is needed to put it on a picture."""

    shape: Line | Zone
    place: str = field(compare=False)
    """`scene.toml:3` or `--line gate`."""
    percent: bool
    size: Size | None
    """Of the picture it was drawn on, in pixels; None if that is the source's own."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Lines and zones of all sources, checked as far as possible without a picture."""

    everywhere: tuple[_Drawn, ...] = ()
    by_source: tuple[tuple[str, tuple[_Drawn, ...]], ...] = ()
    """A shape here takes the place of the one of its name and kind."""

    def names(self, source: str) -> tuple[list[str], list[str]]:
        """Return the names of the lines and of the zones of a source."""
        shapes = [drawn.shape for drawn in self.of(source)]
        return [s.name for s in shapes if isinstance(s, Line)], [s.name for s in shapes if isinstance(s, Zone)]

    def way_labels(self, source: str) -> dict[str, dict[str, str]]:
        """Return what `in` and `out` are called at each line of a source."""
        lines = [drawn.shape for drawn in self.of(source) if isinstance(drawn.shape, Line)]
        return {line.name: {"in": line.in_label, "out": line.out_label} for line in lines}

    def for_picture(self, width: int, height: int, *, source: str) -> PictureScene:
        """Return the shapes of a source in its pixels.

        Raises UsageError for a picture of another shape than the one they were drawn on, and for a shape outside it.
        """
        shapes, warnings = [], []
        for drawn in self.of(source):
            shape = replace(drawn.shape, points=_in_pixels(drawn, (width, height), source))
            where = f"{drawn.place}: {kind_of(shape)} {shape.name!r}"
            if is_outside(shape.points, (width, height)):
                raise UsageError(f"{where} lies outside the picture of {source!r}, {width}x{height}")
            if not all(0 <= x <= width and 0 <= y <= height for x, y in shape.points):
                warnings.append(f"{where} lies partly outside the picture of {source!r}, {width}x{height}")
            shapes.append(shape)
        return PictureScene(
            lines=tuple(shape for shape in shapes if isinstance(shape, Line)),
            zones=tuple(shape for shape in shapes if isinstance(shape, Zone)),
            warnings=tuple(warnings),
        )

    def of(self, source: str) -> list[_Drawn]:
        """Return a source's shapes: those of its whole name, or of its file's with or without the suffix."""
        path = Path(source)
        own = [d for name, drawn in self.by_source if name in (source, path.name, path.stem) for d in drawn]
        return list({(type(d.shape), d.shape.name): d for d in (*self.everywhere, *own)}.values())


def read_scene(path: str | Path | None = None, *, lines: Sequence[str] = (), zones: Sequence[str] = ()) -> Scene:
    """Read a scene file and what the options `--line` and `--zone` add to it.

    Raises UsageError, which names the option or the line of the file, for everything that makes no sense.
    """
    scene = _SceneFile(Path(path)).read() if path else Scene()
    options = [_option("--line", text) for text in lines] + [_option("--zone", text) for text in zones]
    scene = replace(scene, everywhere=(*scene.everywhere, *options))
    for drawn in (scene.everywhere, *(own for _, own in scene.by_source)):
        _check_names(drawn)
    for shapes in (scene.everywhere, *(scene.of(name) for name, _ in scene.by_source)):
        if len(shapes) > MOST_SHAPES:
            place = shapes[MOST_SHAPES].place
            raise UsageError(f"{place}: there are {len(shapes)} lines and zones, at most {MOST_SHAPES}")
    return scene


class _SceneFile(LocatedToml):
    def __init__(self, path: Path) -> None:
        super().__init__(path, what="the scene")

    def read(self) -> Scene:
        self.check_keys(self.values, (*_SHAPE_KEYS, "source"))
        sources = self.values.get("source", {})
        if not isinstance(sources, dict):
            self.fail(("source",), "write a table for each source: [source.NAME]")
        everywhere = tuple(self._shapes(self.values, self._size(self.values, None)))
        by_source = []
        for name, table in sources.items():
            at: KeyPath = ("source", name)
            if not isinstance(table, dict):
                self.fail(at, f"write a table: [source.{name}]")
            self.check_keys(table, _SHAPE_KEYS, at)
            size = self._size(table, self._size(self.values, None), at)
            by_source.append((name, tuple(self._shapes(table, size, at))))
        return Scene(everywhere, tuple(by_source))

    def _shapes(self, table: Mapping[str, Any], size: Size | None, above: KeyPath = ()) -> Iterator[_Drawn]:
        for kind, keys in (("line", _LINE_KEYS), ("zone", _ZONE_KEYS)):
            entries = table.get(kind, [])
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                self.fail((*above, kind), f"write a table for each {kind}: [[{'.'.join(map(str, (*above, kind)))}]]")
            for number, entry in enumerate(entries):
                at = (*above, kind, number)
                self.check_keys(entry, keys, at)
                yield self._line(entry, size, at) if kind == "line" else self._zone(entry, size, at)

    def _line(self, entry: Mapping[str, Any], size: Size | None, at: KeyPath) -> _Drawn:
        ends = [self._pair(entry, end, at) for end in ("from", "to")]
        line = Line(
            self._name(entry, at), (),
            in_label=self._label(entry, "in", at), out_label=self._label(entry, "out", at),
            margin=self._number(entry, "margin", at, DEFAULT_MARGIN) or 0.0,
        )  # fmt: skip
        return _drawn(line, [*ends[0], *ends[1]], self.place((*at, "from")), size)

    def _zone(self, entry: Mapping[str, Any], size: Size | None, at: KeyPath) -> _Drawn:
        points = entry.get("points")
        if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
            self.fail((*at, "points"), f"points is {_shown(points)}; write pairs: [[x, y], [x, y], [x, y]]")
        people = entry.get("max_people")
        if people is not None and (isinstance(people, bool) or not isinstance(people, int) or people < 0):
            self.fail((*at, "max_people"), f"max_people is {people!r}; write a whole number from 0")
        zone = Zone(self._name(entry, at), (), self._number(entry, "loiter_seconds", at), people)
        return _drawn(zone, list(itertools.chain(*points)), self.place((*at, "points")), size)

    def _size(self, table: Mapping[str, Any], default: Size | None, above: KeyPath = ()) -> Size | None:
        if "size" not in table:
            return default
        size = table["size"]
        if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and n > 0 for n in size):
            self.fail((*above, "size"), f"size is {_shown(size)}; write the picture's width and height: [1920, 1080]")
        return size[0], size[1]

    def _pair(self, entry: Mapping[str, Any], key: str, at: KeyPath) -> list[Any]:
        pair = entry.get(key)
        if not isinstance(pair, list) or len(pair) != 2:
            self.fail((*at, key), f"{key} is {_shown(pair)}; write a point: [x, y]")
        return pair

    def _name(self, entry: Mapping[str, Any], at: KeyPath) -> str:
        return _checked_name(entry.get("name"), self.place((*at, "name")))

    def _label(self, entry: Mapping[str, Any], key: str, at: KeyPath) -> str:
        return _checked_name(entry.get(key, key), self.place((*at, key)), what=key)

    def _number(self, entry: Mapping[str, Any], key: str, at: KeyPath, default: float | None = None) -> float | None:
        value: Any = entry.get(key, default)
        if value is not None and (type(value) not in (int, float) or not 0 <= value < math.inf):
            self.fail((*at, key), f"{key} is {value!r}; write a number from 0")
        return None if value is None else float(value)


def _option(option: str, text: str) -> _Drawn:
    name, _, numbers = text.partition("=")
    place = f"{option} {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"
    coordinates = numbers.split(",") if numbers else []
    if len(coordinates) % 2 or (option == "--line" and len(coordinates) != 4):
        form = "NAME=x1,y1,x2,y2" + ("" if option == "--line" else ",x3,y3,...")
        raise UsageError(f"{place}: {len(coordinates)} numbers do not make its points; write {form}")
    name = _checked_name(name, place)
    return _drawn(Line(name, ()) if option == "--line" else Zone(name, ()), coordinates, place, None)


def _drawn(shape: Line | Zone, coordinates: Sequence[Any], place: str, size: Size | None) -> _Drawn:
    """Give a shape its points. Raises UsageError if they make no line or no simple polygon."""
    percents = {str(value).strip().endswith("%") for value in coordinates}
    if len(percents) > 1:
        raise UsageError(f"{place}: {kind_of(shape)} {shape.name!r} mixes percentages and pixels; write one of them")
    numbers = [_coordinate(value, place) for value in coordinates]
    points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if isinstance(shape, Zone):  # a corner clicked twice, or drawn back to where it began, is one
        points = tuple(point for point, before in zip(points, (*points[-1:], *points), strict=False) if point != before)
    if fault := fault_of(shape, points):
        raise UsageError(f"{place}: {kind_of(shape)} {shape.name!r} {fault}")
    return _Drawn(replace(shape, points=points), place, percent=True in percents, size=size)


def _coordinate(value: object, place: str) -> float:
    text = value.strip().removesuffix("%") if isinstance(value, str) else value
    try:
        number = float("nan") if isinstance(text, bool) or not isinstance(text, str | int | float) else float(text)
    except (ValueError, OverflowError):
        number = float("nan")
    if not abs(number) <= MOST_COORDINATE:
        raise UsageError(f"{place}: {_shown(value)} is no coordinate; write pixels, 320, or a percentage, 50%")
    return number


def _shown(value: object) -> str:
    """Return a value as an error shows it."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _checked_name(name: object, place: str, *, what: str = "name") -> str:
    letters = "".join(itertools.filterfalse(_is_mark, name)) if isinstance(name, str) else ""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _NAME.fullmatch(letters):
        raise UsageError(
            f"{place}: {what} is {_shown(name)}; write 1 to 40 letters, digits, spaces, or '_-.', a letter first"
        )
    return name


def _is_mark(character: str) -> bool:
    """Whether it belongs to the letter before it, as vowels of Indian scripts do, and accents that come apart."""
    return unicodedata.category(character).startswith("M")


def _check_names(drawn: Sequence[_Drawn]) -> None:
    places: dict[tuple[str, str], str] = {}
    for one in drawn:
        key = kind_of(one.shape), one.shape.name
        if key in places:
            raise UsageError(f"{one.place}: there is a {key[0]} {key[1]!r} already, at {places[key]}")
        places[key] = one.place


def _in_pixels(drawn: _Drawn, picture: Size, source: str) -> tuple[Point, ...]:
    width, height = picture
    if drawn.percent:
        scale = width / 100, height / 100
    elif drawn.size is None:
        return drawn.shape.points
    else:
        scale = width / drawn.size[0], height / drawn.size[1]
        if abs(scale[0] / scale[1] - 1) > _ASPECT_TOLERANCE:
            raise UsageError(
                f"{drawn.place}: drawn on a picture of {drawn.size[0]}x{drawn.size[1]}, and {source!r} has "
                f"{width}x{height}, another shape; draw it again, or use percentages"
            )
    return tuple((x * scale[0], y * scale[1]) for x, y in drawn.shape.points)
