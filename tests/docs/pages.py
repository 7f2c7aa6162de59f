"""The README and the pages of the site as text, and what stands in their code blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Yield each code block of a language with the name of its page."""
    for path in PAGES:
        for block in re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            yield path.relative_to(ROOT).as_posix(), block


def commands(language: str) -> Iterator[tuple[str, str]]:
    """Yield each command line with the name of its page, comments left out, continued lines joined."""
    for page, block in blocks(language):
        for line in block.replace("\\\n", " ").splitlines():
            if command := re.sub(r"(^|\s+)# .*", "", line):
                yield page, command
