"""What a model's classes are called, and which of them are people."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

from humandetect.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NUMBER = re.compile(r"^\s*(\d+)[\s:,]+")
"""Before a name, as some write it."""
_NO_NAME = re.compile(r"(?:class|label)?[ _-]?(\d+)", re.IGNORECASE)
PEOPLE = frozenset({"person", "people", "persons", "pedestrian", "human"})


def labels_beside(path: Path) -> dict[int, str]:
    """Read the labels file beside a model, a name a line from class 0 on; empty where there is none."""
    folder, stem = (path, path.name) if path.is_dir() else (path.parent, path.stem)
    for name in (f"{stem}.txt", f"{stem}.names", "labels.txt", "labelmap.txt", "coco.names"):
        if (folder / name).is_file():
            try:
                lines = (folder / name).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, ValueError) as error:
                raise ModelError(f"cannot read the labels {str(folder / name)!r}: {error}") from error
            return parse_lines(lines)
    return {}


def parse_lines(lines: Sequence[str]) -> dict[int, str]:
    """Read a name a line, from class 0 on; where all have numbers from 0 on, COCO's may leave some out."""
    numbers = [_NUMBER.match(line) for line in lines if line.strip()]
    if numbers and all(numbers) and numbers[0] and int(numbers[0][1]) == 0:
        return {int(number[1]): number.string[number.end() :].strip() for number in numbers if number}
    names = [_NUMBER.sub("", line).strip() for line in lines]
    if names and names[0] == "???":  # TensorFlow's background, which TFLite's class numbers leave out
        names = names[1:]
    return {number: name for number, name in enumerate(names) if name}


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
