"""Write the reference pages that come from the code.

python tools/generate_docs.py

A test expects the pages to be up to date.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docs_commands import commands_page, settings_page
from docs_http import http_page

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parent.parent / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/settings.md": settings_page,
    "reference/http.md": http_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
