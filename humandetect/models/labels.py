"""What a model's classes are called, and which of them are people."""

from __future__ import annotations

import ast
import codecs
import json
import logging
import re
from functools import cache
from typing import TYPE_CHECKING

from humandetect.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"^\s*(\d+)[\s:,]+")
"""Before a name, as some write it."""
_ITEM = re.compile(r"item\s*:?\s*\{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"""\b(id|name|display_name)\s*:\s*("[^"\n]*"|'[^'\n]*'|\d+)""")
USUAL_FILES = ("labels.txt", "labelmap.txt", "classes.txt", "coco.names", "label_map.pbtxt")
_NO_NAME = re.compile(r"(?:class|label)?[ _-]?(\d+)", re.IGNORECASE)
PEOPLE = frozenset({"person", "people", "persons", "pedestrian", "pedestrians", "human", "humans"})


def labels_beside(path: Path, *, first: int = 0) -> dict[int, str]:
    """Read the labels file beside a model or in its folder, a name a line from class `first` on; empty without one."""
    file = next((file for file in _places(path) if file.is_file()), None)
    if file is None:
        return {}
    try:
        text = decoded(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read the labels {str(file)!r}: {error}") from error
    return _parse_map(text) if file.suffix == ".pbtxt" else parse_lines(text.splitlines(), first=first)


def decoded(content: bytes) -> str:
    """Read text as people's editors write it, on Windows also with a mark at the begin or in UTF-16."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _places(path: Path) -> list[Path]:
    """List where labels may lie, those of the model's own name before others."""
    own, usual = [f"{path.stem}.txt", f"{path.stem}.names"], USUAL_FILES
    if not path.is_dir():
        return [path.parent / name for name in (*own, *usual)]
    own = [f"{path.name}.txt", f"{path.name}.names"]
    beside = usual if path.name.isdecimal() else own  # of a version, what all versions share
    return [*(inner / name for inner in (path, path / "assets") for name in (*own, *usual)),
            *(path.parent / name for name in beside)]  # fmt: skip


def parse_lines(lines: Sequence[str], *, first: int = 0) -> dict[int, str]:
    """Read a name a line, from class `first` on; where all have numbers from 0 on, COCO's may leave some out."""
    numbers = [_NUMBER.match(line) for line in lines if line.strip()]
    if numbers and all(numbers) and numbers[0] and int(numbers[0][1]) == 0:
        return {int(number[1]): number.string[number.end() :].strip() for number in numbers if number}
    names = [_NUMBER.sub("", line).strip() for line in lines]
    if names and (names[0] == "???" or (first and names[0].strip("_").casefold() == "background")):
        names = names[1:]  # TensorFlow's class 0, which TFLite's class numbers leave out
    return {number: name for number, name in enumerate(names, first) if name}


def _parse_map(text: str) -> dict[int, str]:
    """Read TensorFlow's label map, whose items have an id, a name and perhaps one for people."""
    items = [dict(_FIELD.findall(item)) for item in _ITEM.findall(text)]
    names = {item.get("id", ""): item.get("display_name") or item.get("name", "") for item in items}
    return {int(number): name.strip("\"'") for number, name in names.items() if number.isdecimal()}


def parse_names(text: str) -> dict[int, str]:
    """Read what exporters write into a model's own `names`: a dict or a list, as Python or JSON; empty for others."""
    for parse in (json.loads, ast.literal_eval):
        try:
            names = parse(text)
        except (ValueError, SyntaxError):
            continue
        pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
        try:
            return {int(number): str(name) for number, name in pairs}
        except ValueError:
            continue
    return {}


def tell_nothing(labels: Mapping[int, str]) -> bool:
    """Say whether names are but numbers, as of models built from a description alone: `0`, `class1`, `LABEL_2`."""
    numbers = {number: _NO_NAME.fullmatch(name) for number, name in labels.items()}
    return all(found and int(found[1]) == number for number, found in numbers.items())


def person_classes_of(labels: Mapping[int, str], given: str | None, *, model: Path | str) -> frozenset[int]:
    """Return the classes that are people: the one given, by number or name, else those named so, else the only one.

    Raises UsageError for a name that no class has, ModelError where nothing tells.
    """
    names = ", ".join(f"{number} {name}" for number, name in sorted(labels.items())) or "no names"
    if given is not None:
        if given.isdecimal():
            if labels and int(given) not in labels:
                _tell_of_unnamed(str(model), int(given), min(labels), max(labels))
            return frozenset({int(given)})
        found = {number for number, name in labels.items() if name.casefold() == given.casefold()}
        if not found:
            raise UsageError(f"no class {given!r} in {model}: its classes are {names}; give a name or a number")
        return frozenset(found)
    found = {number for number, name in labels.items() if name.casefold() in PEOPLE}
    found = found or (set(labels) if len(labels) == 1 else set())
    if not found:
        raise ModelError(
            f"{model}: which class is a person? Its classes are {names}; say so with --person-class NUMBER, "
            "a labels.txt beside the model, or person_classes in humandetect.json"
        )
    return frozenset(found)


@cache
def _tell_of_unnamed(model: str, number: int, lowest: int, highest: int) -> None:
    """Say once that nobody may be found: some models have more classes than is known of."""
    known = f"{lowest} to {highest}" if lowest < highest else str(lowest)
    logger.error("%s has no name for class %d, only in %s: is --person-class right?", model, number, known)
