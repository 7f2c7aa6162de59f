"""Models folders for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, chosen by nothing yet."""
    monkeypatch.delenv("HUMANDETECT_MODELS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "chosen"
    path.mkdir()
    return path
