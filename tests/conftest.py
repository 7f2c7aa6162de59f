"""What every test stands on."""

from __future__ import annotations

import inspect
import os
import re
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from tests.command_line import own_process

STARTS = re.compile(
    r"^(?:from|import) (?:[^\n(]*\([^)]*?|[^\n]*?)"
    r"\b(?:subprocess|humandetect$|invoke$|running|model_server\.started|asking|spawned|Child|bundled|load_engine|tensorflow\w*)\b",
    re.MULTILINE,
)
"""An import in a file whose tests start processes or servers, or run models."""

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.object_store import ObjectStore


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled models of tests, and of the processes they start, out of the user's cache: one for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


TRACED = "COVERAGE_PROCESS_CONFIG"
"""What tells a child to measure its coverage."""


@pytest.fixture(scope="session", autouse=True)
def untraced() -> Iterator[str | None]:
    """Measure no children but those of `traced`: each takes 0.4 s more, and imports take half as long again."""
    with pytest.MonkeyPatch.context() as patch:
        traced = os.environ.get(TRACED)
        patch.delenv(TRACED, raising=False)
        yield traced


@pytest.fixture
def traced(untraced: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the coverage of children: for what runs in no other process."""
    if untraced:
        monkeypatch.setenv(TRACED, untraced)


@pytest.fixture(scope="session", autouse=True)
def own_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust one authority instead of the world's, of which each client would read all: 1 ms instead of 40."""
    with pytest.MonkeyPatch.context() as patch:
        authority = tmp_path_factory.mktemp("authority") / "ca.pem"
        trustme.CA().cert_pem.write_to_path(str(authority))
        patch.setenv("SSL_CERT_FILE", str(authority))
        yield


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> Iterator[None]:
    """Wait for answers as long as for all else: httpx gives up after 5 s, in which a busy machine may do nothing."""
    usual = inspect.signature(httpx.get).parameters["timeout"].default
    with pytest.MonkeyPatch.context() as patch:
        for wait in ("connect", "read", "write", "pool"):
            patch.setattr(usual, wait, 60.0)
        yield


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    with own_process():
        yield


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    from tests.object_store import serving  # which takes a second

    with serving() as store:
        yield store


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of a new bucket, which this process and those it starts find, with credentials for it."""
    from tests.object_store import new_bucket

    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    return new_bucket()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out files that start processes, servers or models")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out whole files, unread: to import TensorFlow takes longer than many tests."""
    chosen = config.getoption("quick") and collection_path.name.startswith("test_")
    return True if chosen and STARTS.search(collection_path.read_text()) else None
