"""Processes that tests began, found by a word of their command."""

from __future__ import annotations

from contextlib import suppress

import psutil


def children_with(word: str, parent: int | None = None) -> list[psutil.Process]:
    """Return those below a process (this one) that live: one that ends meanwhile has no command any more."""
    found = []
    for child in psutil.Process(parent).children(recursive=True):
        with suppress(psutil.Error):
            if word in child.cmdline():
                found.append(child)
    return found
