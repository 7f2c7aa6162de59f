"""What cameras give over HTTP and libav does not take: one picture, or one after the other."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, cast
from urllib.error import HTTPError

from humandetect.addresses import address_trouble
from humandetect.errors import SourceError
from humandetect.media.image_headers import HEAD_BYTES, is_image
from humandetect.media.sources.container import Media, NothingSent, PictureTooLong, is_playlist, open_bytes
from humandetect.media.sources.files import most_bytes
from humandetect.media.sources.http_client import ask
from humandetect.media.sources.motion_jpeg import Parts, open_pictures
from humandetect.media.sources.url import open_url

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from io import BufferedReader

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
    """Open an address as `open_url` does, and also JPEG after JPEG. Raises SourceError, without the address.

    What may come but once is read as it comes: some cameras, and programs that send what they make, serve one client.
    """
    if trouble := address_trouble(url):
        raise SourceError(trouble)
    is_http = url.lower().startswith("http")
    answer = _answer(url, config) if is_http else None
    if answer is None:  # libav knows more ways to ask, and says why if none of them does
        return open_url(url, config, at_once=at_once, in_parts=is_http)
    if answer.headers.get_content_type() == "multipart/x-mixed-replace":
        pictures = iter(Parts(answer, timeout_seconds=config.read_timeout_seconds))
        return open_pictures(pictures, config, close=answer.close)
    if _comes_but_once(answer):
        return open_bytes(cast("BufferedReader", answer), config, most_seconds=config.read_timeout_seconds)
    answer.close()  # before it is asked again: many cameras serve few clients at once
    return open_url(url, config, at_once=at_once)


def _answer(url: str, config: SourceConfig) -> HTTPResponse | None:
    """Return what a server answers; None: nothing that is of use. Raises SourceError where it says nothing at all."""
    try:
        return _ask_once_free(url, config)
    except (OSError, HTTPException, ValueError) as error:
        silent = isinstance(getattr(error, "reason", error), TimeoutError)
    if silent:
        raise SourceError(f"no answer within {config.open_timeout_seconds:g} s")
    return None


def _comes_but_once(answer: HTTPResponse) -> bool:
    """Whether it is a stream that has no length and no parts, as of who sends what is just made to one client."""
    told = {"Content-Length", "Accept-Ranges"} & set(answer.headers)
    if told or answer.headers.get_content_maintype() not in ("video", "application"):
        return False
    try:
        head = answer.peek(HEAD_BYTES)
    except (OSError, HTTPException):
        return False
    return bool(head) and not is_image(head) and not is_playlist(head)


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
