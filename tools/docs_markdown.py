"""Markdown for the generated pages of the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def page(title: str, *parts: str, by: str = "generate_docs.py") -> str:
    """Join a page's parts, each of them a block, by empty lines; a comment says which tool writes it."""
    generated = f"<!-- Written by tools/{by}; do not edit. -->"
    return "\n\n".join([generated, f"# {title}", *(part.strip("\n") for part in parts if part)]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells hold Markdown of one line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`" if text else ""
