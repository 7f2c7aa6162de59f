"""The examples are true: each runs as a user would run it, against a live endpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.responses import JSONResponse

from humandetect.config import ServeConfig
from humandetect.detection.detector import Detector
from humandetect.media.images import decode_image
from humandetect.service.app import create_app
from tests.fakes import FakeEngine
from tests.service.images import jpeg, png
from tests.service.servers import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "correct horse"
COMMANDS = {
    "request.sh": ["sh"],
    "client.py": [sys.executable],
    "client_async.py": [sys.executable],
    "client.mjs": ["node"],
}
NEEDED = {"request.sh": "curl", "client.mjs": "node"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(ServeConfig(port=0, api_key=KEY), detector=Detector(FakeEngine())) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "first.jpg").write_bytes(jpeg(64, 48))
    (tmp_path / "second.png").write_bytes(png(320, 240))
    (tmp_path / "bad.jpg").write_bytes(b"GIF89a, a picture of yesterday")
    return tmp_path


def run(example: str, *images: str, url: str, folder: Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
    needed = NEEDED.get(example)
    if needed and shutil.which(needed) is None and not os.environ.get("CI"):
        pytest.skip(f"{example} needs {needed}")
    command = [*COMMANDS[example], str(EXAMPLES / example), *images, *([url] if example == "request.sh" else [])]
    environment = {**os.environ, "HUMANDETECT_URL": url, "HUMANDETECT_API_KEY": key}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_curl_prints_the_people_and_saves_the_picture(url: str, folder: Path) -> None:
    done = run("request.sh", "first.jpg", url=url, folder=folder)
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)["results"]
    assert result["people"][0]["box"] == [0, 12, 32, 36]
    assert decode_image((folder / "people.jpg").read_bytes(), max_megapixels=1).shape == (48, 64, 3)


def test_the_python_client_saves_every_picture_and_names_the_bad_one(url: str, folder: Path) -> None:
    done = run("client.py", "first.jpg", "bad.jpg", "second.png", url=url, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "first.jpg: 1 people, see first_people.jpg" in done.stdout
    assert "70% at [0.0, 12.0, 32.0, 36.0]" in done.stdout
    assert done.stderr.startswith("bad.jpg: ")
    assert decode_image((folder / "second_people.jpg").read_bytes(), max_megapixels=1).shape == (240, 320, 3)
    assert not (folder / "bad_people.jpg").exists()


def test_the_python_client_asks_in_batches_that_are_taken(url: str, folder: Path) -> None:
    done = run("client.py", *["first.jpg"] * 20, url=url, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 people") == 20


def test_the_python_client_names_bad_images_when_there_is_no_other(url: str, folder: Path) -> None:
    done = run("client.py", "bad.jpg", url=url, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("bad.jpg: ")


def test_the_async_client_counts_in_many_pictures_in_order(url: str, folder: Path) -> None:
    done = run("client_async.py", *["first.jpg", "second.png"] * 8, "bad.jpg", url=url, folder=folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:-1] == ["first.jpg: 1 people", "second.png: 1 people"] * 8
    assert lines[-1].startswith("bad.jpg: ")
    assert "people" not in lines[-1]


def test_the_javascript_client_prints_the_people(url: str, folder: Path) -> None:
    done = run("client.mjs", "first.jpg", "second.png", url=url, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["first.jpg: 1 people", "    70% at 0,12,32,36"]


@pytest.mark.parametrize("example", COMMANDS)
def test_every_example_tells_a_wrong_key(example: str, url: str, folder: Path) -> None:
    done = run(example, "first.jpg", url=url, folder=folder, key="wrong")
    assert "key" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("example", COMMANDS)
def test_every_example_comes_again_when_the_server_is_busy(example: str, folder: Path) -> None:
    app = BusyAtFirst(create_app(ServeConfig(), detector=Detector(FakeEngine())))
    with running(app) as url:
        done = run(example, "first.jpg", url=url, folder=folder)
    assert done.returncode == 0, done.stderr
    assert app.refused
    assert "people" in done.stdout


class BusyAtFirst:
    """Answers the first request that it is too busy, and hands on all others."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.refused = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.refused:
            await self.app(scope, receive, send)
            return
        self.refused = True
        answer = JSONResponse({"message": "later"}, status_code=503, headers={"Retry-After": "1"})
        await answer(scope, receive, send)
