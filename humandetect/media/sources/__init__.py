"""Whatever can be looked at, as one kind of thing: `expand` tells what was meant, `open_source` opens it.

A new kind of source is one file beside this one with a `Source` (base.py) in it, one row in `_OPENERS`, and the rule by
which `expand` knows it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from humandetect.config import SourceConfig
from humandetect.errors import SourceError
from humandetect.media.image_headers import ANIMATION_HEAD_BYTES, HEAD_BYTES, is_animation, is_image
from humandetect.media.sources.base import Source
from humandetect.media.sources.refs import Kind, SourceRef, device_number, expand, tree_roots

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.media.frames import Frame

__all__ = ["Kind", "Source", "SourceRef", "device_number", "expand", "open_source", "still_of", "tree_roots"]

FIRST_SECONDS = 1.0
"""Of a camera, whose first pictures are often dark."""


def open_source(ref: SourceRef | str, config: SourceConfig | None = None, *, audio: bool = False) -> Source:
    """Open what `expand` found. Raises SourceError with its name and what is wrong.

    With `audio` the packets of all audio streams are read too and wait in `Source.audio`.
    """
    if isinstance(ref, str):
        ref, *others = expand([name := ref])
        if others:
            raise SourceError(f"{name!r} has {1 + len(others)} sources, and one is wanted: name it")
    try:
        return _OPENERS[ref.kind](ref, config or SourceConfig(), audio)
    except SourceError as error:
        # This line says all that the inner error does, and no error of an address may drag its secrets along.
        raise SourceError(f"cannot read {ref.name!r}: {error}") from error.__cause__
    except OSError as error:
        raise SourceError(f"cannot read {ref.name!r}: {error.strerror or error}") from error


def still_of(ref: str, config: SourceConfig) -> Frame:
    """Return the first frame from `--start` on, of a live source one from a second later. Raises SourceError."""
    with open_source(expand([ref])[0], config) as source:
        begin = FIRST_SECONDS if source.info.kind == "live" else 0.0
        for frame in source:
            if frame.time_seconds >= begin:
                return frame
        if source.failures:
            raise source.failures[0]
        raise SourceError(f"cannot read {source.name!r}: it ended before a picture to draw on; try an earlier --start")


def _open_images(ref: SourceRef, config: SourceConfig, _audio: bool) -> Source:
    from humandetect.media.sources.image import ImageSource

    return ImageSource(ref.name, ref.files, config)


def _open_animation(ref: SourceRef, config: SourceConfig, _audio: bool) -> Source:
    from humandetect.media.sources.animation import AnimationSource

    return AnimationSource(ref.name, ref.files[0], config)


def _open_video(ref: SourceRef, config: SourceConfig, audio: bool) -> Source:
    from humandetect.media.sources.container import open_bytes
    from humandetect.media.sources.files import open_file
    from humandetect.media.sources.libav import VideoSource

    (path,) = ref.files
    return VideoSource(ref.name, lambda: open_bytes(open_file(path), config), config, audio=audio)


def _open_pipe(ref: SourceRef, config: SourceConfig, audio: bool) -> Source:
    from humandetect.media.sources.container import open_bytes
    from humandetect.media.sources.files import motion_jpeg, open_file, open_stdin
    from humandetect.media.sources.libav import VideoSource

    timeout, most = config.open_timeout_seconds, config.max_megapixels
    file = open_file(ref.files[0], pipe_timeout_seconds=timeout) if ref.files else open_stdin()
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    if not head:
        raise SourceError("nothing came through the pipe")
    video = motion_jpeg(file, max_megapixels=most) if is_image(head) else file
    if isinstance(video, bytes):
        return _open_picture(ref.name, video, config)
    return VideoSource(ref.name, lambda: open_bytes(video, config), config, audio=audio)


def _open_url(ref: SourceRef, config: SourceConfig, audio: bool) -> Source:
    from humandetect.media.sources.http_camera import fetch_picture, open_camera_url
    from humandetect.media.sources.libav import VideoSource
    from humandetect.media.sources.url import NoVideoThere

    try:
        return VideoSource(ref.name, lambda: open_camera_url(ref.address, config), config, audio=audio)
    except NoVideoThere:
        data = fetch_picture(ref.address, config) if ref.address.lower().startswith("http") else None
        if data is None:
            raise
        return _open_picture(ref.name, data, config)


def _open_picture(name: str, data: bytes, config: SourceConfig) -> Source:
    """Open what came through a pipe or from an address as the file that it would be."""
    from humandetect.media.sources.animation import AnimationSource
    from humandetect.media.sources.image import ImageSource

    def opened(_: str) -> io.BytesIO:
        return io.BytesIO(data)

    if is_animation(data[:ANIMATION_HEAD_BYTES]):
        return AnimationSource(name, name, config, open_=opened)
    return ImageSource(name, (name,), config, open_=opened)


def _open_camera(ref: SourceRef, config: SourceConfig, _audio: bool) -> Source:
    from humandetect.media.sources.camera import CameraSource

    return CameraSource(ref.name, int(ref.address), config)


_OPENERS: dict[Kind, Callable[[SourceRef, SourceConfig, bool], Source]] = {
    "images": _open_images,
    "animation": _open_animation,
    "video": _open_video,
    "pipe": _open_pipe,
    "url": _open_url,
    "camera": _open_camera,
}
