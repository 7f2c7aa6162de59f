"""What is to be done, decided once: every video, cut into segments, and how people are looked for in them."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humandetect import __version__
from humandetect.addresses import is_object_store
from humandetect.archive.jobs import Pictures, Video
from humandetect.errors import SourceError, UsageError
from humandetect.media.sources import expand
from humandetect.media.sources.segments import Segment, cut
from humandetect.models.find import find_model
from humandetect.models.metadata import checksum
from humandetect.object_stores import stamp_of_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.archive.jobs import Job, Segments
    from humandetect.config import ArchiveConfig
    from humandetect.media.sources import SourceRef
    from humandetect.storage import Storage

NAME = "plan.json"
PLANNED_AT_ONCE = 8
"""Videos whose packets are read side by side: a share or an object store answers late, but many at once."""
PICTURES_A_PART = 1000
"""At most, of a folder: some minutes of work."""
_LONGEST_FOLDER = 100
"""Bytes of a video's name that name its folder: disks take 255, and more is added."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All videos, and what makes their results what they are."""

    made: dict[str, Any]
    """Version, model, its checksum, precision, size, score, length of segments, whether there are videos."""
    videos: tuple[Video, ...]
    unreadable: dict[str, str]
    """Why, by source."""
    warnings: tuple[str, ...] = ()
    """What sources lack, for people: for as long as their results are looked at."""

    def jobs(self) -> Iterator[Job]:
        for video in self.videos:
            yield from video.jobs

    @property
    def annotated(self) -> list[Video]:
        """Those of which there are to be annotated videos."""
        return [video for video in self.videos if video.is_moving and self.made.get("video")]

    def as_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def make_plan(config: ArchiveConfig) -> Plan:
    """Read the packets of all sources.

    Raises UsageError for a model that there is not, SourceError where nothing can be read.
    """
    warnings: list[str] = []
    refs = expand(config.sources, recursive=config.source.recursive, warnings=warnings)
    warnings += _given_again(refs)
    videos: list[Video] = []
    unreadable: dict[str, str] = {}
    folders = _taken(config.out)
    for ref in refs:
        if not ref.files or ref.kind == "pipe":
            raise UsageError(f"{ref.name!r} is no file: an archive is made of what can be read again")
    stop = threading.Event()
    with ThreadPoolExecutor(PLANNED_AT_ONCE) as threads:
        cuts = [threads.submit(_cut, ref, config, stop) for ref in refs]
        try:
            for ref, segments in zip(refs, cuts, strict=True):
                try:
                    cut_to, lacks = segments.result()
                    videos.append(_video(ref, cut_to, folders))
                    warnings += [f"{ref.name!r}: {what}" for what in lacks]
                except (SourceError, OSError) as error:
                    unreadable[ref.name] = str(error)
        finally:
            stop.set()
    if unreadable and not videos:  # a name that was mistyped is no archive
        source, reason = next(iter(unreadable.items()))
        raise SourceError(f"cannot read {source!r}: {reason}")
    return Plan(_made(config), tuple(videos), unreadable, tuple(warnings))


def _given_again(refs: Sequence[SourceRef]) -> list[str]:
    """Return a warning for each file that is given more than once, by whatever names."""
    alike: dict[str, list[str]] = {}
    for file in (file for ref in refs for file in ref.files):
        alike.setdefault(file if is_object_store(file) else os.path.realpath(file), []).append(file)
    return [
        f"{names[0]!r} is given {len(names)} times: its people count as often"
        for names in alike.values()
        if len(names) > 1
    ]


def find_plan(storage: Storage) -> Plan | None:
    """Read the plan of an archive; None if there is none. Raises UsageError for one that cannot be read."""
    data = storage.read(NAME)
    if data is None:
        return None
    try:
        known = json.loads(data)
        videos = tuple(
            Video(**{**one, "files": tuple(one["files"]), "segments": tuple(map(_segment, one["segments"]))})
            for one in known["videos"]
        )
        return Plan(known["made"], videos, known["unreadable"], tuple(known["warnings"]))
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{storage.place}/{NAME} is no plan of an archive: {error}") from error


def _segment(known: dict[str, Any]) -> Any:
    return Pictures(**known) if "stamp" in known else Segment(**known)


def agree(plan: Plan, config: ArchiveConfig, storage: Storage) -> None:
    """Raise UsageError, which says the difference, where a plan was made for another command."""
    wanted = _made(config)
    different = [
        f"{key} {plan.made.get(key)!r}, now {value!r}" for key, value in wanted.items() if plan.made.get(key) != value
    ]
    if config.sources:
        different += _other_sources(plan, config)
    if different:
        raise UsageError(f"{storage.place} was planned otherwise: {'; '.join(different)}: choose another --out")


def _other_sources(plan: Plan, config: ArchiveConfig) -> Iterator[str]:
    """Yield how the sources that a command gives differ from those of the plan: a name may mean another file by now."""
    planned = {(video.source, file) for video in plan.videos for file in video.files}
    planned |= {(name, name) for name in plan.unreadable}
    names = {name for name, _ in planned}
    given = {
        (ref.name, file)
        for ref in expand(config.sources, recursive=config.source.recursive)
        if ref.name in names or not _is_made(ref, plan, config)
        for file in (_absolute(ref.files) if ref.files and ref.name not in plan.unreadable else (ref.name,))
    }
    for word, these, those in (("without", given, planned), ("with", planned, given)):
        for name, file in sorted(these - those)[:1]:
            yield f"{word} {(file if name in dict(those) else name)!r}"


def _is_made(ref: SourceRef, plan: Plan, config: ArchiveConfig) -> bool:
    """Return whether a source is an annotated video of the archive itself, or a part of one."""
    if not ref.files:
        return False
    file, out = ref.files[0], config.out
    if not isinstance(out, str):
        file, out = str(Path(file).resolve()), f"{out.resolve()}"
    return file.startswith(tuple(f"{out.rstrip('/')}/{video.folder}/" for video in plan.videos))


def model_checksum(config: ArchiveConfig) -> str:
    """Return what tells the model from others of its name. Raises UsageError and ModelError where there is none."""
    return checksum(find_model(config.engine.model, config.engine.models_dir).path)


def _made(config: ArchiveConfig) -> dict[str, Any]:
    model = find_model(config.engine.model, config.engine.models_dir)
    return {
        "humandetect": __version__,
        "model": f"{model.name} {model.version}".rstrip(),
        "model_sha256": checksum(model.path),
        "precision": config.engine.precision,
        "size": config.engine.size,
        "score": config.score,
        "segment_seconds": config.segment_seconds,
        "video": config.video,
    }


def check_unchanged(video: Video) -> None:
    """Raise SourceError where its files are not those that were planned."""
    try:
        changed = stamp_of(video.files) != video.stamp
    except OSError as error:
        raise SourceError(f"cannot read {video.source!r}: {error.strerror or error}") from error
    if changed:
        raise SourceError(f"{video.source!r} changed since it was planned: choose another --out")


def _cut(ref: SourceRef, config: ArchiveConfig, stop: threading.Event) -> tuple[Segments, list[str]]:
    """Return the segments, and what the file lacks."""
    lacks: list[str] = []
    if ref.kind == "images":
        return tuple(_pictures(ref.files)), lacks
    if ref.kind != "video" or stop.is_set():
        return (), lacks
    return cut(ref.files[0], config.source, seconds=config.segment_seconds, stop=stop, warnings=lacks), lacks


def _video(ref: SourceRef, segments: Segments, folders: dict[str, int]) -> Video:
    files = _absolute(ref.files)
    base = "" if files == ref.files else _here()
    stamp = "" if ref.kind == "images" else stamp_of(files)
    return Video(ref.name, files, ref.kind, _folder(ref.name, folders), stamp, segments, base)


def _absolute(files: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(file if is_object_store(file) or Path(file).is_absolute() else f"{_here()}{file}" for file in files)


def _here() -> str:
    return f"{Path.cwd()}/"


def _pictures(files: Sequence[str]) -> Iterator[Pictures]:
    """Divide pictures evenly; few stay one part. Raises OSError."""
    parts = -(-len(files) // PICTURES_A_PART)
    ends = [len(files) * number // parts for number in range(parts + 1)]
    for number, (first, end) in enumerate(pairwise(ends)):
        yield Pictures(number, first, end - first, stamp_of(files[first:end]))


def stamp_of(files: Sequence[str]) -> str:
    """Return what changes with the files: their lengths and times. Raises OSError."""
    stamps = [_stamp_of(file) for file in files]
    return " ".join(f"{size}:{time}" for size, time in stamps[:1]) + f" {sum(size for size, _ in stamps)}"


def _stamp_of(file: str) -> tuple[int, object]:
    if is_object_store(file):
        return stamp_of_object(file)
    stat = Path(file).stat()
    return stat.st_size, stat.st_mtime_ns


def _taken(out: Path | str) -> dict[str, int]:
    """Return the names of files that are where the results go, for `_folder`: it may be where the sources are."""
    if isinstance(out, str) or not out.is_dir():
        return {}
    return {path.name.casefold(): 1 for path in out.iterdir() if not path.is_dir()}


def _folder(source: str, taken: dict[str, int]) -> str:
    """Return a name of its own for the parts of a source, like the file's; `taken` has how often each was wanted.

    Names that differ in capitals are one folder on some shares.
    """
    name = os.fsencode(Path(source).name)[:_LONGEST_FOLDER].decode(errors="ignore").lstrip(".") or "video"
    folder, wanted = name, name.casefold()
    while folder.casefold() in taken or folder.casefold() in ("failed", "warned", NAME):
        taken[wanted] = taken.get(wanted, 1) + 1
        folder = f"{name}_{taken[wanted]}"
    taken[folder.casefold()] = 1
    return folder
