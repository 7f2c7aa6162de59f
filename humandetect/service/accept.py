"""Names of media types, and which of them a client's `Accept` header prefers (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SPELLINGS = {"image/jpg": "image/jpeg"}
"""Names in use that were never registered."""


class Quality(NamedTuple):
    """How much a media type is wanted."""

    value: float
    """0 (not at all) to 1."""
    exactness: int
    """How it was named: 0 not at all, 1 as any, 2 by its family, 3 by its name."""

    @property
    def is_named(self) -> bool:
        return self.exactness == 3


def media_type(header: str) -> str:
    """Return the media type of a header's value as it is registered, without its parameters."""
    kind = header.partition(";")[0].strip().lower()
    return SPELLINGS.get(kind, kind)


def quality(accept: str, kind: str) -> Quality:
    """Return how much `kind` is wanted. The most exact of the ranges that match decides, not the most generous."""
    exactness = {"*/*": 1, f"{kind.partition('/')[0]}/*": 2, kind: 3}
    matches = (Quality(value, exactness[name]) for name, value in _ranges(accept) if name in exactness)
    return max(matches, key=lambda match: match.exactness, default=Quality(0.0, 0))


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for element in accept.split(","):
        parameters = (parameter.partition("=") for parameter in element.split(";")[1:])
        weight = next((value for name, _, value in parameters if name.strip().lower() == "q"), "1")
        try:
            yield media_type(element), float(weight)
        except ValueError:  # nobody can say what was meant
            continue
