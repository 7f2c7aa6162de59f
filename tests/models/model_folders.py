"""What models look like on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def make_model(folder: Path, metadata: dict[str, Any] | str | None = None) -> Path:
    """Write what a SavedModel looks like from outside."""
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(f"graph of {folder.name}".encode())
    if metadata is not None:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        (folder / "assets.extra" / "humandetect.json").write_text(text, encoding="utf-8")
    return folder
