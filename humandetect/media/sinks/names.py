"""Where the annotated pictures of a source go, decided and checked before anything is written."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from humandetect.addresses import address_words
from humandetect.errors import SinkError, UsageError
from humandetect.media.image_headers import WRITABLE_ENDINGS
from humandetect.media.sinks.atomic_files import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VIDEO_MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Videos that can be written: FFmpeg's muxer by the output's ending."""
MAX_STEM_BYTES = 200
"""File systems take 255; the rest is for what is added."""


def stem_of(name: str) -> str:
    """Turn a source's name into a file stem: `cam/one.mov` -> `one`, `rtsp://host/live` -> `live`, `0` -> `camera0`."""
    stem = _plain_stem(name)
    return stem if len(os.fsencode(stem)) <= MAX_STEM_BYTES else stem[: MAX_STEM_BYTES // 4]  # 4 bytes a character


def _plain_stem(name: str) -> str:
    if name == "-" or name.startswith("-_page"):
        return f"stdin{name[1:]}"
    if name.isascii() and name.isdigit():
        return f"camera{name}"
    if "://" in name:
        return address_words(name) or "stream"
    return Path(name).stem or "frames"


class Destinations:
    """Hand out one file for each picture or video of a run, never the same one twice, never an input."""

    def __init__(
        self, output: Path | None, *, several: bool, inputs: Sequence[Path], roots: Sequence[Path] = ()
    ) -> None:
        if output == Path("-"):
            raise UsageError("pictures and videos do not go to stdout: name a file (-o out.mp4); `--results -` does")
        self._output = output
        self._inputs = inputs
        self._roots = roots
        """Inputs below one of them keep their folders in the output."""
        self._taken: set[Path] = set()
        self.renamed: list[str] = []
        """What could not have the name one expects, because another source of the run has it."""
        # A name without an ending can only be meant as a folder.
        self._is_folder = output is not None and (several or output.is_dir() or not output.suffix)
        if output is None:
            return
        endings = (*VIDEO_MUXERS, *WRITABLE_ENDINGS)
        if not self._is_folder:
            self._one_file(output, endings, "to")
            self._check(output)
        elif output.suffix.lower() in endings and not output.is_dir():
            raise UsageError(f"several sources go into a folder, but {str(output)!r} is the name of a file")
        else:
            make_folder(output)

    def video(self, name: str) -> Path:
        """Return the file for a video or live source."""
        if self._output is not None and not self._is_folder:
            return self._one_file(self._output, tuple(VIDEO_MUXERS), "a video to")
        return self._free(name, ".mp4")

    def image(self, name: str) -> Path:
        """Return the file for an image; it keeps the image's own format."""
        if self._output is not None and not self._is_folder:
            return self._one_file(self._output, WRITABLE_ENDINGS, "an image to")
        ending = Path(name).suffix.lower()
        return self._free(name, ending if ending in WRITABLE_ENDINGS else ".jpg")

    def heatmap(self, name: str) -> Path:
        """Return the file for the heatmap of a video or live source."""
        return self._output if self._output is not None and not self._is_folder else self._free(name, ".png")

    def _one_file(self, path: Path, endings: tuple[str, ...], what: str) -> Path:
        if path.suffix.lower() not in endings:
            raise UsageError(f"cannot write {what} {str(path)!r}: use one of {', '.join(endings)}")
        return path

    def _free(self, name: str, ending: str) -> Path:
        """Pick the next free name. A chosen folder is the user's: only names of this run count as taken there."""
        folder, stem = self._folder_of(name), stem_of(name)
        if self._output is None:
            stem = f"{stem}_people"
        names = itertools.chain([f"{stem}{ending}"], (f"{stem}_{number}{ending}" for number in itertools.count(2)))
        for number, path in enumerate(folder / name for name in names):
            if path in self._taken or (self._output is None and path.exists()):
                continue
            self._check(path)
            self._taken.add(path)
            if number and self._output is not None:
                self.renamed.append(f"{name!r} as {str(path)!r}")
            return path
        raise AssertionError("endless names ended")

    def _folder_of(self, name: str) -> Path:
        """Return the folder for a source's results: of a tree that was asked for, the same one as in the tree."""
        output = self._output or Path()
        root = next((root for root in self._roots if Path(name).is_relative_to(root)), None)
        if root is None:
            return output
        folder = output / Path(name).relative_to(root).parent
        make_folder(folder)
        return folder

    def _check(self, path: Path) -> None:
        refuse_input(path, self._inputs)
        if not path.parent.is_dir():
            raise SinkError(f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist")


def refuse_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError when `path` is one of the inputs, also through a link."""
    for source in inputs:
        same = path.exists() and source.exists() and path.samefile(source)
        if same or path.absolute() == source.absolute():
            raise UsageError(f"the output {str(path)!r} is the input: choose another name")
