"""Which version folders there are, which of them a policy wants, and whether one has changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from humandetect.model_server.served_models import ModelSettings

Fingerprint = frozenset[tuple[str, int, int]]
"""Name, size and time of every file of a version."""


def find_versions(base_path: Path) -> dict[int, Path] | None:
    """Return the version folders by number; None if the model's folder is not there."""
    try:
        children = sorted(base_path.iterdir())
    except OSError:
        return None
    return {int(child.name): child for child in children if re.fullmatch(r"[0-9]{1,18}", child.name) and child.is_dir()}


def wanted_versions(settings: ModelSettings, usable: Iterable[int]) -> set[int]:
    """Return what the policy wants of the versions that can be loaded."""
    versions = sorted(usable)
    if settings.policy == "latest":
        return set(versions[-settings.latest :])
    if settings.policy == "specific":
        return set(versions) & settings.specific
    return set(versions)


def fingerprint(version: Path) -> Fingerprint:
    """Describe a version's files, so that a broken one is tried again once somebody has worked on it."""
    found = set()
    for path in version.rglob("*"):
        try:
            stat = path.stat()
        except OSError:  # gone meanwhile
            continue
        found.add((str(path.relative_to(version)), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
