"""Cameras for tests, small enough to be quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import make_clip
from tests.watch.rtsp_farm import RunningFarm, farm_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 10 pictures/s, with a key frame each half second."""
    return make_clip(tmp_path_factory.mktemp("clips") / "door.mp4", width=320, height=240, frames=20, fps=10, gop=5)


@pytest.fixture(scope="session")
def larger_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "large.mp4", width=480, height=368, frames=20, fps=10, gop=5)


@pytest.fixture
def farm(clip: Path) -> Iterator[RunningFarm]:
    """Two cameras, `door` and `yard`."""
    with farm_in_thread({"door": str(clip), "yard": str(clip)}) as running:
        yield running
