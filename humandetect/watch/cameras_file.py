"""Which cameras there are: `NAME=URL` of each, or a file that says more of them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args
from unicodedata import normalize

from humandetect.addresses import address_trouble, looks_like_address, shown_address
from humandetect.config.engine import check_size
from humandetect.config.fields import fields_of
from humandetect.config.recording import RecordMode
from humandetect.config.toml_lines import LocatedToml
from humandetect.config.watch import CameraConfig, WatchConfig
from humandetect.errors import UsageError
from humandetect.media.sources import device_number
from humandetect.watch.base import object_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from humandetect.config.toml_lines import KeyPath

MOST_CAMERAS = 256
"""Threads and connections of one process; no machine decodes so many."""
_NAME = re.compile(r"[\w][\w.-]{0,63}")
_PLAIN = re.compile(r"[\w\s./#+-]+")
"""What may be shown: no address, and no part of one with a password."""
_NO_NAME = "is no name of a camera: letters, digits, dots, - and _, at most 64"
_VARIABLE = re.compile(r"\$\{(\w*)\}")
_FIELDS = {"rate": "rate", "decode": "decode", "gate": "gate", "transport": "rtsp_transport", "anonymize": "anonymize"}
"""Keys of a camera that are options, too, which then are their defaults."""
_KEYS = ("url", *_FIELDS, "scene", "record", "size")


def read_cameras(config: WatchConfig) -> list[CameraConfig]:
    """Return all cameras. Raises UsageError, which names the line or the argument, and shows no secret."""
    given = config.cameras
    files = [one for one in given if one.lower().endswith(".toml") and not _pair(one)]
    if files and len(given) > 1:
        raise UsageError(f"give one file of cameras, or NAME=URL of each, and not {files[0]} with others beside it")
    cameras = _CamerasFile(Path(files[0]), config).read() if files else _given(given, config)
    if len(cameras) > MOST_CAMERAS:
        raise UsageError(f"{len(cameras)} cameras are more than the {MOST_CAMERAS} that one process watches")
    return cameras


def _given(pairs: Sequence[str], config: WatchConfig) -> list[CameraConfig]:
    cameras: dict[str, CameraConfig] = {}
    for text in pairs:
        pair = _pair(text)
        if not pair:
            name, equals, url = text.partition("=")
            if equals and _is_address(url) and _PLAIN.fullmatch(name):
                raise UsageError(f"{name!r} {_NO_NAME}")
            shown = shown_address(text) if looks_like_address(text) else text
            raise UsageError(f"a camera is NAME=URL, as in door=rtsp://cam/stream, or in a .toml file; got {shown!r}")
        name, url = pair
        if twin := _twin(name, cameras, config):
            raise UsageError(twin)
        url = _with_variables(url, f"{name}=")
        if trouble := _trouble(url):
            raise UsageError(f"{name}: {trouble}")
        cameras[name] = _camera(name, url, {}, config)
    return list(cameras.values())


def _twin(name: str, others: Iterable[str], config: WatchConfig) -> str | None:
    """Say which other camera a name cannot be told from, as a folder of recordings or in Home Assistant."""
    same = {"which some disks take for one name": _folded}
    if config.delivery.mqtt:
        same["which Home Assistant takes for one device"] = object_id
    for other in others:
        for why, fold in same.items():
            if fold(other) == fold(name):
                both = repr(name) if other == name else f"{other!r} and {name!r}, {why}"
                return f"two cameras are called {both}: give each a name of its own"
    return None


def _folded(name: str) -> str:
    return normalize("NFKC", name).casefold()


def _trouble(url: str) -> str | None:
    """Say why nobody will ever see a camera at an address, variables and all; None: somebody may."""
    return None if device_number(url) is not None else address_trouble(url)


def _pair(text: str) -> tuple[str, str] | None:
    name, equals, url = text.partition("=")
    return (name, url) if equals and _NAME.fullmatch(name) and _is_address(url) else None


def _is_address(url: str) -> bool:
    return "://" in url or device_number(url) is not None


def _camera(name: str, url: str, said: Mapping[str, Any], config: WatchConfig) -> CameraConfig:
    values = {key: said.get(key, getattr(config, option)) for key, option in _FIELDS.items()}
    recorded = config.recording.record_mode if config.recording.record else None
    return CameraConfig(
        name, url, scene=said.get("scene", config.counting.scene), record=said.get("record", recorded),
        size=said.get("size"), **values,
    )  # fmt: skip


def _with_variables(url: str, where: str) -> str:
    """Put in the environment variables that an address names, as `${DOOR_PASSWORD}`."""
    for name in _VARIABLE.findall(url):
        if not os.environ.get(name):
            raise UsageError(f"{where}: the environment variable {name!r}, which the address names, is not set")
    return _VARIABLE.sub(lambda found: os.environ[found[1]], url)


class _CamerasFile(LocatedToml):
    """`[camera.NAME]` tables."""

    def __init__(self, path: Path, config: WatchConfig) -> None:
        super().__init__(path, what="the cameras")
        self._config = config
        self._options = {field.name: field for field in fields_of(WatchConfig)}

    def read(self) -> list[CameraConfig]:
        self.check_keys(self.values, ("camera",), ())
        tables = self.values.get("camera", {})
        if not isinstance(tables, dict) or not tables:
            self.fail(("camera",), "there is no camera: write a table for each, [camera.NAME] with its url")
        names = list(tables)
        for number, name in enumerate(names):
            if twin := _twin(name, names[:number], self._config):
                self.fail(("camera", name), twin)
        return [self._read_one(name, table) for name, table in tables.items()]

    def _read_one(self, name: str, table: Any) -> CameraConfig:
        at: KeyPath = ("camera", name)
        if not isinstance(table, dict):
            self.fail(at, f"write a table: [camera.{name}]")
        if not _NAME.fullmatch(name):
            self.fail(at, f"{name!r} {_NO_NAME}")
        self.check_keys(table, _KEYS, at)
        url = self._url(name, table.get("url"), (*at, "url"))
        said: dict[str, Any] = {}
        for key, option in _FIELDS.items():
            if key in table:
                said[key] = self._options[option].adopt(table[key], f"{self.place((*at, key))}: {key}")
        if "scene" in table:
            scene = self._options["scene"].adopt(table["scene"], f"{self.place((*at, 'scene'))}: scene")
            with suppress(RuntimeError):  # ~SOMEBODY who has no home: no such file
                scene = Path(scene).expanduser()
            said["scene"] = self._scene(self.path.parent / scene, (*at, "scene"))
        if "size" in table:
            said["size"] = self._size(table["size"], (*at, "size"))
        if "record" in table:
            said["record"] = self._record(table["record"], (*at, "record"))
        try:
            return _camera(name, url, said, self._config)
        except UsageError as error:
            self.fail(at, str(error))

    def _url(self, name: str, value: Any, at: KeyPath) -> str:
        if not isinstance(value, str) or not _is_address(value):
            self.fail(at, f'camera {name!r} needs its address, as in url = "rtsp://camera/stream"')
        url = _with_variables(value, self.place(at))
        if trouble := _trouble(url):
            self.fail(at, trouble)
        return url

    def _scene(self, path: Path, at: KeyPath) -> Path:
        if not path.is_file():
            self.fail(at, f"there is no scene in {str(path)!r}: `humandetect scene` draws one")
        return path

    def _size(self, value: Any, at: KeyPath) -> str:
        size: str = self._options["size"].adopt(value, f"{self.place(at)}: size")
        try:
            check_size(size)
        except UsageError as error:
            self.fail(at, str(error))
        return size

    def _record(self, value: Any, at: KeyPath) -> RecordMode | None:
        if value is False:
            return None
        if value not in get_args(RecordMode):
            self.fail(at, f'record is {value!r}; write "always", "events" or false')
        if not self._config.recording.record:
            self.fail(at, "there is no folder for recordings: give --record DIR")
        return cast("RecordMode", value)
