"""One picture from an address, as cameras give it at `snap.jpg`."""

from __future__ import annotations

import time
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from humandetect.errors import SourceError
from humandetect.media.images import HEAD_BYTES, is_image
from humandetect.media.sources.files import most_bytes

if TYPE_CHECKING:
    from humandetect.config import SourceConfig

_PIECE_BYTES = 1 << 16


def fetch_picture(url: str, config: SourceConfig) -> bytes | None:
    """Return the picture at an HTTP(S) address; None: it is none. Raises SourceError, without the address."""
    deadline = time.monotonic() + config.read_timeout_seconds
    most = most_bytes(config.max_megapixels)
    data = bytearray()
    try:
        with _opener(url).open(_bare(url), timeout=config.open_timeout_seconds) as answer:
            while piece := answer.read(_PIECE_BYTES):
                data += piece
                if len(data) > most:
                    raise SourceError(f"longer than any image of {config.max_megapixels:g} megapixels")
                if time.monotonic() > deadline:
                    raise SourceError(f"not all of it came within {config.read_timeout_seconds:g} s")
    except (OSError, HTTPException, ValueError) as error:  # their texts may hold the address
        raise SourceError(f"the image cannot be fetched: {type(error).__name__}") from None
    return bytes(data) if is_image(bytes(data[:HEAD_BYTES])) else None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Know how to tell the server who asks, in the ways that cameras want it."""
    parts = urlsplit(url)
    known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        known.add_password(None, _bare(url), unquote(parts.username), unquote(parts.password or ""))
    return urllib.request.build_opener(
        urllib.request.HTTPBasicAuthHandler(known), urllib.request.HTTPDigestAuthHandler(known)
    )


def _bare(url: str) -> str:
    """Return the address without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
