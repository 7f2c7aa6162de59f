"""Numbers and what they count, as people write them."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 frame`, `1,234 frames`; `many` where an s is not enough: `2 people`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def people(count: int) -> str:
    """`1 person`, `2 people`."""
    return counted(count, "person", "people")
