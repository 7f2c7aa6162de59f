"""What the user typed, turned into sources: files, folders, patterns, pipes, cameras and addresses."""

from __future__ import annotations

import glob
import os
import re
import stat
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from glob import has_magic
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from humandetect.addresses import is_object_store, looks_like_address, path_of, shown_address
from humandetect.errors import SourceError, UsageError
from humandetect.media.image_headers import ANIMATION_HEAD_BYTES, HEAD_BYTES, IMAGE_ENDINGS, is_animation, is_image
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["images", "animation", "video", "pipe", "camera", "url"]
VIDEO_ENDINGS = (
    ".gif", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".flv",
    ".ogv", ".wmv", ".asf", ".3gp", ".h264", ".264", ".h265", ".265", ".hevc", ".y4m", ".mxf", ".vob", ".dv",
    ".ivf", ".mjpeg", ".mjpg", ".dav", ".3g2", ".m2v", ".mpe", ".mod", ".tod", ".trp", ".f4v", ".rm", ".rmvb",
    ".nut", ".av1", ".heics", ".heifs",
)  # fmt: skip
_CONTAINER = re.compile(
    rb"....(ftyp|moov|mdat|wide|skip|free)|\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01\xba|(....)?G.{187,203}G|OggS"
    rb"|0&\xb2u\x8ef\xcf\x11|\x06\x0e\+4|DHAV",
    re.DOTALL,
)
"""How containers begin; what is in them libav says."""
_MOST_NAMED = 5
_JPEG_AFTER_JPEG = {".mjpeg", ".mjpg"}  # videos that begin like an image
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CAMERA = re.compile(r"(?:/dev/video)?([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class SourceRef:
    """One source the user meant, not opened yet."""

    kind: Kind
    name: str
    """As given; of an address only what may be shown."""
    files: tuple[str, ...] = ()
    """The files behind it; none for pipes, cameras and addresses."""
    address: str = field(default="", repr=False)
    """Camera number, or URL with its secrets."""

    @property
    def is_live(self) -> bool:
        """Whether it surely has no end; what is at other addresses is known once it is opened."""
        return self.kind == "camera" or self.address.lower().startswith(("rtsp", "rtmp", "udp:", "rtp:"))

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(Path(file) for file in self.files)


@dataclass(frozen=True, slots=True)
class _Look:
    """How folders are looked into, and what was left out."""

    recursive: bool
    warnings: list[str]


def expand(refs: Sequence[str], *, recursive: bool = False, warnings: list[str] | None = None) -> list[SourceRef]:
    """Turn what the user typed into sources, in order; images that follow one another become one source.

    Folders give their images, known by content, and their videos, known by their names' endings or else by content, in
    natural order and without hidden files; with `recursive` the folders inside, too. What they have besides is added to
    `warnings`. What does not exist fails when it is opened. Raises UsageError for an empty name: as a path it would be
    this folder.
    """
    if "" in refs:
        raise UsageError("a source has no name: was a shell's variable never set? Give a file, folder or address")
    look = _Look(recursive, [] if warnings is None else warnings)
    found = _told_apart([single for ref in refs for single in _expand_one(ref, look)])
    sources: list[SourceRef] = []
    for is_images, group in groupby(found, key=lambda ref: ref.kind == "images"):
        alike = list(group)
        sources += [_together(alike)] if is_images else alike
    return sources


def device_number(ref: str) -> int | None:
    """Return the number of a camera of this machine, given as that or as its device; None: it is another thing."""
    found = _CAMERA.fullmatch(ref)
    return int(found[1]) if found else None


def tree_roots(refs: Sequence[str], *, recursive: bool) -> list[Path]:
    """Return the folders that patterns with `**` begin to look in, and with `recursive` those that are given."""
    trees = [ref for ref in refs if "**" in ref or (recursive and Path(ref).is_dir())]
    return [Path(tree.partition("**")[0] or ".") for tree in trees]


def _told_apart(refs: list[SourceRef]) -> list[SourceRef]:
    """Number addresses that differ only in what is not shown: two channels of a recorder stay two."""
    seen: dict[str, list[str]] = {}
    told = []
    for ref in refs:
        addresses = seen.setdefault(ref.name, [])
        if ref.address not in addresses:
            addresses.append(ref.address)
        number = addresses.index(ref.address) + 1
        told.append(ref if number == 1 else replace(ref, name=f"{ref.name} #{number}"))
    return told


def _expand_one(ref: str, look: _Look) -> list[SourceRef]:
    if ref == "-":
        return [SourceRef("pipe", ref)]
    if (number := device_number(ref)) is not None:
        return [SourceRef("camera", ref, address=str(number))]
    if path_named := path_of(ref):
        return _expand_one(path_named, look)
    if is_object_store(ref):
        return _objects(ref, look) or [SourceRef("video", ref, (ref,))]  # opening will say what is wrong
    if _URL.match(ref):
        return [_address(ref)]
    path = Path(ref)
    if path.is_dir():
        found = _scan(path, look, set()) if _may_look_into(path) else []
        return found or [SourceRef("video", ref, (ref,))]
    if os.path.lexists(ref):  # wins over the pattern or the address that it might be
        return [_file(ref)]
    matches = _in_order(glob.glob(ref, recursive=True))  # noqa: PTH207  Path.glob takes no absolute patterns
    if not matches and looks_like_address(ref):
        return [_address(ref)]
    return [_file(match) for match in matches or [ref]]


def _address(ref: str) -> SourceRef:
    return SourceRef("url", shown_address(ref), address=ref)


def _scan(folder: Path, look: _Look, seen: set[Path]) -> list[SourceRef]:
    """Return what can be read of a folder, and note what is left out; one `seen` already, through a link, is empty."""
    if folder.resolve() in seen:
        return []
    seen.add(folder.resolve())
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    folders = [path for path in shown if path.is_dir()]
    endings = {*IMAGE_ENDINGS, *VIDEO_ENDINGS}
    wanted: list[SourceRef] = []
    left: list[str] = []
    for name in _in_order(str(path) for path in shown if not path.is_dir()):
        ref = _file(name)
        meant = Path(name).suffix.lower() in endings  # what is damaged is to fail, not to be left out
        if ref.kind in ("images", "animation") or (ref.kind == "video" and (meant or _is_video(name))):
            wanted.append(ref)
        else:
            left.append(Path(name).name)
    _note(look, str(folder), left, "file", "left out, no image or video")
    if not look.recursive:
        if folders:
            look.warnings.append(f"{str(folder)!r}: {counted(len(folders), 'folder')} in it not read: --recursive does")
        return wanted
    closed = [inner.name for inner in folders if not _may_look_into(inner)]
    _note(look, str(folder), closed, "folder", "in it not read, for want of permission")
    opened = _in_order(str(inner) for inner in folders if inner.name not in closed)
    return wanted + [ref for name in opened for ref in _scan(Path(name), look, seen)]


def _objects(ref: str, look: _Look) -> list[SourceRef]:
    """Return what a name, a pattern or a folder of an object store gives; what is in folders is known by its ending."""
    from humandetect.object_stores import list_objects

    try:
        files, folders = list_objects(ref)
    except OSError:
        return []
    if has_magic(ref) or files == [ref]:
        return [_object(name) for name in _in_order(files)]
    shown = [name for name in _in_order(files) if not name.rpartition("/")[2].startswith(".")]
    wanted = [name for name in shown if Path(name).suffix.lower() in {*IMAGE_ENDINGS, *VIDEO_ENDINGS}]
    _note(look, ref, sorted({*shown} - {*wanted}), "file", "left out, no image or video")
    found = [_object(name) for name in wanted]
    if look.recursive:
        return found + [inner for folder in _in_order(folders) for inner in _objects(folder, look)]
    if folders:
        look.warnings.append(f"{ref!r}: {counted(len(folders), 'folder')} in it not read: --recursive does")
    return found


def _object(name: str) -> SourceRef:
    from humandetect.media.sources.files import open_file

    kind: Kind = "video"
    if Path(name).suffix.lower() not in VIDEO_ENDINGS:  # the look is a request
        with suppress(SourceError), open_file(name) as file:
            kind = _kind_of(file)
    return SourceRef(kind, name, (name,))


def _may_look_into(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _note(look: _Look, folder: str, names: list[str], kind: str, why: str) -> None:
    if names:
        listed = ", ".join(names[:_MOST_NAMED]) + (" and so on" if len(names) > _MOST_NAMED else "")
        look.warnings.append(f"{folder!r}: {counted(len(names), kind)} {why}: {listed}")


def _in_order(names: Iterable[str]) -> list[str]:
    """Sort as people count: `img2` before `img10`."""
    from natsort import natsorted, ns

    return natsorted(names, alg=ns.IGNORECASE)


def _file(name: str) -> SourceRef:
    path = Path(name)
    try:
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            return SourceRef("pipe", name, (name,))
        is_still = stat.S_ISREG(mode) and path.suffix.lower() not in _JPEG_AFTER_JPEG
        kind: Kind = "video"
        if is_still:
            with path.open("rb") as file:
                kind = _kind_of(file)
    except (OSError, ValueError):  # opening will say what is wrong
        kind = "video"
    return SourceRef(kind, name, (name,))


def _is_video(name: str) -> bool:
    """Look into a file whose name does not say what it is; sound comes in the same containers."""
    from humandetect.config import SourceConfig
    from humandetect.media.sources.container import open_bytes
    from humandetect.media.sources.files import open_file
    from humandetect.media.sources.streams import video_streams

    try:
        file = open_file(name)
        if not _CONTAINER.match(file.peek(HEAD_BYTES)):
            file.close()
            return False
        with closing(open_bytes(file, SourceConfig())) as media:
            return bool(video_streams(media))
    except (OSError, SourceError):
        return False


def _kind_of(file: BinaryIO) -> Kind:
    head = file.read(ANIMATION_HEAD_BYTES)
    return "animation" if is_animation(head) else "images" if is_image(head) else "video"


def _together(images: list[SourceRef]) -> SourceRef:
    if len(images) == 1:
        return images[0]
    files = tuple(file for image in images for file in image.files)
    folders = {file.rpartition("/")[0] if is_object_store(file) else str(Path(file).parent) for file in files}
    return SourceRef("images", folders.pop() if len(folders) == 1 else f"{len(files)} images", files)
