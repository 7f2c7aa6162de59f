"""Write the page of licences: what the installed wheels say of themselves, and which libraries lie inside them.

python tools/generate_licences.py

What it writes depends on the versions that are installed: run it where the dependencies are the newest.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

from docs_markdown import code, page, table
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).parent.parent / "docs" / "licences.md"
INTRODUCTION = """\
humandetect is Apache-2.0, and so are the models in it (the npm package that carries MoveNet is MIT). Their origin is
told in `models/README.md` and in the NOTICE beside each, that of the sample clip in `examples/README.md`.

Nothing of the packages below is part of humandetect: pip fetches each from its own maker. But whoever ships an image or
an installer that holds them ships them too, and the libraries inside their wheels. Four are worth a look:

* **PyAV** (`av`) carries FFmpeg built with **x264** and **x265**. Both are under the GPL, version 2 or later (or a
  licence bought from their makers), whatever the wheel's own licence says. humandetect encodes with x264. H.264 and
  H.265 are covered by patents in some countries.
* **OpenCV** (`opencv-python`) carries **Qt 5** and a second FFmpeg, under the LGPL: whoever gets a copy must be able to
  put another version of these libraries in their place.
* **certifi** and **tqdm** are, in whole or in part, under the MPL-2.0, which asks for changes to their files to be
  published.
* **pillow-heif** (extra `heif`, never in the base) carries **libx265** (GPL) and **libheif** (LGPL), for photos of
  telephones.
"""
SHARED_LIBRARY = re.compile(r"(?:.*/)?(?:lib)?(?P<name>[^/]+?)(?:-[0-9a-f]{6,8})*(?:[-.\d]*\.so[.\d]*|[.\d]*\.dylib)")
"""`av.libs/libx264-d6533a8d.so.165` is x264."""


def licences_page() -> str:
    """Return the packages of a base install with their versions, licences and the libraries inside them."""
    rows = [
        [code(canonicalize_name(one.name)), one.version, licence_of(one), ", ".join(libraries_in(one))]
        for one in base_install()
    ]
    heads = ["Package", "Version", "Licence, as the wheel says", "Libraries inside"]
    return page("Licences", INTRODUCTION, "## What a base install brings", table(heads, rows), by=Path(__file__).name)


def base_install() -> list[Distribution]:
    """Return humandetect's dependencies without extras and what they need in turn, by name."""
    found: dict[str, Distribution] = {}
    wanted = [Requirement("humandetect")]
    while wanted:
        one = wanted.pop()
        for text in distribution(one.name).requires or []:
            needed = Requirement(text)
            name = canonicalize_name(needed.name)
            extras = one.extras or {""}
            if name not in found and (not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in extras)):
                found[name] = distribution(name)
                wanted.append(needed)
    return [found[name] for name in sorted(found)]


def licence_of(one: Distribution) -> str:
    """Return the licence expression; older wheels have a classifier, or a text whose first line says it."""
    about = one.metadata.json
    classifiers = [line.rpartition(" :: ")[2] for line in about.get("classifier", []) if line.startswith("License ::")]
    text = str(about.get("license", "unknown"))
    return str(about.get("license_expression", "")) or ", ".join(classifiers) or text.splitlines()[0]


def libraries_in(one: Distribution) -> list[str]:
    """Return the shared libraries that were copied into a wheel: those of other projects lie in a `.libs` folder."""
    files = [str(file) for file in one.files or []]
    found = {match["name"] for file in files if ".libs/" in file and (match := SHARED_LIBRARY.fullmatch(file))}
    return sorted(found, key=str.casefold)


if __name__ == "__main__":
    PAGE.write_text(licences_page(), encoding="utf-8")
