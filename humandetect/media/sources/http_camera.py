"""What cameras give over HTTP and libav does not take: one picture, or one after the other."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError

from humandetect.errors import SourceError
from humandetect.media.image_headers import HEAD_BYTES, is_image
from humandetect.media.sources.container import Media, NothingSent, PictureTooLong
from humandetect.media.sources.files import most_bytes
from humandetect.media.sources.http_client import ask
from humandetect.media.sources.motion_jpeg import Parts, open_pictures
from humandetect.media.sources.url import NotKnownThere, NoVideoThere, open_url

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from humandetect.config import SourceConfig

_PIECE_BYTES = 1 << 16
_BUSY_SECONDS = 0.2


def fetch_picture(url: str, config: SourceConfig, *, most: float = math.inf) -> bytes | None:
    """Return the picture at an HTTP(S) address; None: it is none. Raises SourceError, without the address."""
    since, within = time.monotonic(), config.read_timeout_seconds
    most = int(min(most, most_bytes(config.max_megapixels)))
    try:
        patience = min(config.open_timeout_seconds, within)
        with ask(url, timeout_seconds=patience, head_seconds=patience) as answer:
            data = _read(answer, HEAD_BYTES, since=since, within_seconds=within)
            if not is_image(data):
                return None
            data += _read(answer, most + 1 - len(data), since=since, within_seconds=within)
    except (OSError, HTTPException, ValueError) as error:  # their texts may hold the address
        why = f"HTTP {error.code}" if isinstance(error, HTTPError) else type(error).__name__
        raise SourceError(f"the image cannot be fetched: {why}") from None
    if len(data) > most:
        raise PictureTooLong(f"a picture of more than {most / 1e6:g} MB, or one that never ends")
    return data


def open_camera_url(url: str, config: SourceConfig, *, at_once: bool = False) -> Media:
    """Open an address as `open_url` does, and also JPEG after JPEG."""
    try:
        media = open_url(url, config, at_once=at_once)
    except (NotKnownThere, NoVideoThere):
        if (motion := _open_motion(url, config, at_once=at_once)) is None:
            raise
        return motion
    # Without its boundary libav takes it for a file of JPEGs.
    if media.container.format.name != "mjpeg":
        return media
    media.close()  # before it is asked again: many cameras serve few clients at once
    return _open_motion(url, config, at_once=at_once) or open_url(url, config, at_once=at_once)


def _open_motion(url: str, config: SourceConfig, *, at_once: bool) -> Media | None:
    """Open JPEG after JPEG; None where the server does not say that it is that."""
    if not url.lower().startswith("http"):
        return None
    try:
        answer = _ask_once_free(url, config)
    except (OSError, HTTPException, ValueError):  # libav knows more ways to ask, and says why if none of them does
        return open_url(url, config, at_once=at_once, in_parts=True)
    if answer.headers.get_content_type() != "multipart/x-mixed-replace":
        answer.close()
        return None
    pictures = iter(Parts(answer, timeout_seconds=config.read_timeout_seconds))
    return open_pictures(pictures, config, close=answer.close)


def _read(answer: HTTPResponse, size: int, *, since: float, within_seconds: float) -> bytes:
    """Read so many bytes, or all there are. Raises NothingSent where they only drip: `read` would wait for the last."""
    data = bytearray()
    while len(data) < size and (piece := answer.read1(min(_PIECE_BYTES, size - len(data)))):
        data += piece
        if time.monotonic() - since > within_seconds:
            raise NothingSent(f"no picture within {within_seconds:g} s")
    return bytes(data)


def _ask_once_free(url: str, config: SourceConfig) -> HTTPResponse:
    """Ask until a camera for one client has noticed that the connection before is closed, or has taken too long."""
    until = time.monotonic() + config.open_timeout_seconds
    while True:
        try:
            return ask(url, timeout_seconds=config.read_timeout_seconds, head_seconds=config.open_timeout_seconds)
        except HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > until:
                raise
        time.sleep(_BUSY_SECONDS)
