"""What cameras give over HTTP and libav does not take: one picture, or a stream without its first boundary."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, cast
from urllib.error import HTTPError

from humandetect.errors import SourceError
from humandetect.media.image_headers import HEAD_BYTES, is_image
from humandetect.media.sources.container import Media, NothingSent, PictureTooLong, open_motion_jpeg
from humandetect.media.sources.files import most_bytes
from humandetect.media.sources.http_client import ask
from humandetect.media.sources.url import NotKnownThere, NoVideoThere, open_url

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from io import BufferedReader

    from humandetect.config import SourceConfig

_PIECE_BYTES = 1 << 16
_BOUNDARY_BYTES = 128
"""The longest there may be, and less than any picture. libav wants all of it at once."""
_BUSY_SECONDS = 0.2
JPEG = b"\xff\xd8"
_PART_OF_A_JPEG = b"Content-Type: image/jpeg\r\n\r\n"


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
    """Open an address as `open_url` does, and also JPEG after JPEG, though its first boundary is missing or late."""
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
    return open_motion_jpeg(cast("BufferedReader", _Parts(answer, config.read_timeout_seconds)), config)


class _Parts:
    """The bytes of a stream of JPEGs, begun as its later parts begin; old firmware sends its first boundary last."""

    def __init__(self, answer: HTTPResponse, timeout_seconds: float) -> None:
        self._answer = answer
        self._timeout_seconds = timeout_seconds
        self._begin = b""

    def read1(self, size: int) -> bytes:
        try:
            if not self._begin:
                self._begin = begin = self._first_bytes()
                return begin
            return self._answer.read1(size)
        except TimeoutError:
            raise NothingSent(f"nothing came for {self._timeout_seconds:g} s") from None
        except (OSError, HTTPException):
            raise SourceError("the connection ended") from None

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self._answer.close()

    def _first_bytes(self) -> bytes:
        begin = _read(self._answer, _BOUNDARY_BYTES, since=time.monotonic(), within_seconds=self._timeout_seconds)
        begin = begin.lstrip(b"\r\n")
        if begin.startswith(b"--"):
            return begin
        return b"--\r\n" + (_PART_OF_A_JPEG if begin.startswith(JPEG) else b"") + begin


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
