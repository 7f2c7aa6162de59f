"""Errors name the right line of a TOML file."""

from __future__ import annotations

from humandetect.config.toml_lines import toml_lines

TEXT = """\
size = [768, 576]
[[line]]
name = "gate"
from = [
  1, 2]

[[line]]  # another
name = "door"
[source.cam1]
size = [1, 1]
[[source.cam1.zone]]
name = "lawn"
[[source.cam1.zone]]
name = "path"
"""


def test_every_key_has_its_line_also_in_arrays_of_tables() -> None:
    assert toml_lines(TEXT) == {
        ("size",): 1,
        ("line",): 2, ("line", 0): 2, ("line", 0, "name"): 3, ("line", 0, "from"): 4,
        ("line", 1): 7, ("line", 1, "name"): 8,
        ("source",): 9, ("source", "cam1"): 9, ("source", "cam1", "size"): 10,
        ("source", "cam1", "zone"): 11, ("source", "cam1", "zone", 0): 11, ("source", "cam1", "zone", 0, "name"): 12,
        ("source", "cam1", "zone", 1): 13, ("source", "cam1", "zone", 1, "name"): 14,
    }  # fmt: skip


def test_tables_inside_a_value_stand_where_the_value_begins() -> None:
    assert toml_lines('a = 1\nline = [\n  {name = "x"},\n  {name = "y"}]\n')[("line", 1, "name")] == 2
