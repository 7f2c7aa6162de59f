"""The pages that come from the code are up to date, the site is built, and no link leads nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from humandetect.media.sources.refs import VIDEO_ENDINGS
from tests.docs.pages import DOCS, PAGES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

sys.path.insert(0, str(ROOT / "tools"))
import generate_docs
import generate_licences

BESIDE_THE_SITE = [
    *ROOT.glob("*.md"), *(path for folder in ("deploy", "examples", "models") for path in (ROOT / folder).rglob("*.md"))
]  # fmt: skip


@pytest.mark.parametrize("name", generate_docs.PAGES)
def test_page_from_the_code_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == generate_docs.PAGES[name](), "python tools/generate_docs.py"


def test_licences_are_those_of_the_wheels() -> None:
    """Every direct dependency is there. What is installed here in the page's version says what the page says."""
    shown, here = generate_licences.PAGE.read_text(encoding="utf-8"), generate_licences.licences_page()
    direct = [needed.name for text in requires("humandetect") or [] if not (needed := Requirement(text)).marker]
    row = re.compile(r"^\| `([\w.-]+)` \| (\S+) \| (.+?) \|", re.MULTILINE)
    licences = {(name, version): licence for name, version, licence in row.findall(here)}
    assert {name for name, _, _ in row.findall(shown)} >= set(direct)
    assert all(licences.get((name, version), licence) == licence for name, version, licence in row.findall(shown))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: a broken link, anchor or reference is an error."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "humandetect").symlink_to(ROOT / "humandetect")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")]
    assert [page for page in pages if f'href="./{page}"' not in home and page != "index.html"] == []


def test_site_asks_nothing_of_other_hosts(site: Path) -> None:
    part = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\" >]+)")
    assert [found for page in site.rglob("*.html") for found in part.findall(page.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", BESIDE_THE_SITE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_every_ending_of_videos_is_in_the_list_of_what_is_read() -> None:
    text = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    listed = text.partition("## What is read")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\.\w+)`", listed)) == set(VIDEO_ENDINGS)


def test_readme_is_short() -> None:
    lines = PAGES[0].read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 120
