"""What every test stands on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

STARTS = {
    "subprocess",
    "humandetect",
    "running",
    "model_server",
    "spawned",
    "Child",
    "bundled",
    "load_engine",
    "tf",
    "TestClient",
}
"""Names that only files need which start processes or servers, or run models."""

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled models of tests, and of the processes they start, out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Undo what a command run in this process sets: the next test must not see its level of the log."""
    logger = logging.getLogger("humandetect")
    before = logger.level
    yield
    logger.setLevel(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make quick` leaves out, so that nobody has to."""
    for item in items:
        if isinstance(item, pytest.Function) and not STARTS.isdisjoint(vars(item.module)):
            item.add_marker("heavy")
