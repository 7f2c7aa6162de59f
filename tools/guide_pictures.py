"""Make the pictures of the guides by running what the guides show: `python -m tools.guide_pictures`, with chromium."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect import SourceConfig
from humandetect.media.images import encode_jpeg
from humandetect.media.sources import expand, open_source
from tests.docs.pages import DOCS, ROOT, blocks, commands
from tests.service.browser import ARGUMENTS, CHROMIUM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PAGES = ("docs/guides/door.md", "docs/guides/pandas.md")
FRAME = 160
"""Of the sample, at 0:16, where `scene check` looks too: eight people, three of them at the line."""
REPORT_HEIGHT = 1290
"""From the headline numbers to who crossed the line, in pixels."""


def run_page(page: str, folder: Path) -> None:
    """Run the commands and programs of a page in order, as they stand."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    lines = [["bash", "-c", line] for shown_in, line in commands("sh") if shown_in == page]
    programs = [[sys.executable, "-c", block] for shown_in, block in blocks("python") if shown_in == page]
    for command in (*lines, *programs):
        subprocess.run(command, cwd=folder, env=environment, check=True)


def frame_of(source: Path, *, index: int = 0) -> NDArray[np.uint8]:
    (ref,) = expand((str(source),))
    with open_source(ref, SourceConfig()) as opened:
        return next(frame.image for frame in opened if frame.index == index)


def report_of(page: Path, target: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": 900, "height": REPORT_HEIGHT})
        tab.goto(page.as_uri())
        tab.screenshot(path=target)
        browser.close()


def main() -> None:
    guides = DOCS / "guides"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "video.mp4").symlink_to(ROOT / "examples" / "plaza.mp4")
        for page in PAGES:
            run_page(page, folder)
        for picture, image in {
            "door_checked": frame_of(folder / "door_checked.png"),
            "door_counted": frame_of(folder / "door.mp4", index=FRAME),
            "door_hidden": frame_of(folder / "door_hidden.mp4", index=FRAME),
        }.items():
            (guides / f"{picture}.jpg").write_bytes(encode_jpeg(image, quality=85))
        report_of(folder / "door_report.html", guides / "door_report.png")
        (guides / "pandas.png").write_bytes((folder / "pandas.png").read_bytes())


if __name__ == "__main__":
    main()
