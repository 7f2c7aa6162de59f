"""Opens what is at an address, as cameras and servers send it, by libav; what is said of that holds no part of it."""

from __future__ import annotations

import errno
import socket
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import av

from humandetect.addresses import address_trouble
from humandetect.errors import SourceError
from humandetect.media.image_headers import is_image
from humandetect.media.sources.container import DEMUXERS, Media, NothingSent, decoder_limits, reason

if TYPE_CHECKING:
    from av.container import InputContainer

    from humandetect.config import SourceConfig

_FROM_ADDRESSES = DEMUXERS.replace("mpjpeg,", "rtsp,")
"""JPEGs in parts are read by ourselves where we can: libav knows no bound for one that never ends."""
_PROTOCOLS = {
    "http": "http,tcp",
    "https": "https,tls,tcp,http",  # http for redirects
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsps,rtsp,rtp,tls,tcp",
}
_NO_VIDEO = (
    "this is a playlist or another format that is not read from an address; give the address of the video itself"
)
_VIDEO_PAGES = frozenset({"youtube.com", "youtu.be", "vimeo.com", "twitch.tv", "dailymotion.com"})
_REFUSALS = (av.HTTPUnauthorizedError, av.HTTPForbiddenError, av.HTTPNotFoundError)
"""RTSP has the same numbers as HTTP, and libav the same errors."""
_PROBE = {"analyzeduration": "1000000", "probesize": "500000", "fpsprobesize": "0"}
_SHORTEST_PROBE = {"analyzeduration": "100000", "probesize": "32", "fpsprobesize": "0"}
"""RTSP servers say what they send; to watch it for a while first, as libav does by itself, costs 3 s and a burst."""


class NoVideoThere(SourceError):
    """What is at an address may be a picture, or one after the other."""


class NotKnownThere(SourceError):
    """What is at an address is in no format that libav knows."""


class AccessRefused(SourceError):
    """A server that answers, but not with what was asked for: it wants a password, or has nothing there."""


class _TransportRefused(SourceError):
    """An RTSP server that answers 461."""


def open_url(url: str, config: SourceConfig, *, at_once: bool = False, in_parts: bool = False) -> Media:
    """Open an RTSP or HTTP(S) address. Raises SourceError; no message and no cause holds a part of it.

    With `at_once` a camera's rate stays unknown, and its size may, until its first picture. With `in_parts` libav reads
    JPEGs in parts, too.
    """
    if trouble := address_trouble(url):
        raise SourceError(trouble)
    protocols = _PROTOCOLS[url.partition("://")[0].lower()]
    if (urlsplit(url).hostname or "").removeprefix("www.").removeprefix("m.") in _VIDEO_PAGES:
        raise SourceError("a page with a video in it, no video: save the video, e.g. with yt-dlp, and give the file")
    warning = ""
    wanted = config.rtsp_transport
    open_by = partial(
        _open_address, url, protocols, config, demuxers=DEMUXERS if in_parts else _FROM_ADDRESSES, at_once=at_once
    )
    try:
        container = open_by(transport="tcp" if wanted == "auto" else wanted)
    except _TransportRefused:
        if wanted != "auto":
            raise SourceError(f"the server does not send over {wanted.upper()}: leave --rtsp-transport out") from None
        container = open_by(transport="udp")
        warning = "read over UDP, as the server refuses TCP: packets that are lost leave holes in pictures"
    if is_image(b"    ftyp" + container.metadata.get("major_brand", "").encode()):  # a film of its tiles, to libav
        container.close()
        raise NoVideoThere(_NO_VIDEO)
    # A missing duration says nothing: MPEG-TS and others have none over HTTP, and losing their frames would be wrong.
    live = container.format.name in ("rtsp", "mpjpeg")
    return Media(container, None, live=live, seekable=False, warning=warning)


def _open_address(
    url: str, protocols: str, config: SourceConfig, *, transport: str, demuxers: str, at_once: bool
) -> InputContainer:
    options = {"format_whitelist": demuxers, "protocol_whitelist": protocols, "rtsp_transport": transport}
    if url.lower().startswith("rtsp"):
        options |= _SHORTEST_PROBE if at_once else _PROBE
    began = time.monotonic()
    timeouts = (config.open_timeout_seconds, config.read_timeout_seconds)
    try:
        container = av.open(
            url,
            mode="r",
            options=decoder_limits(config),
            container_options=options,
            timeout=timeouts,
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError, ValueError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EPROTONOSUPPORT and url.lower().startswith("rtsp"):
            raise _TransportRefused("the server supports no way to send that was asked for") from None
        # The cause is not chained: its text and its frames hold the password.
        timed_out = time.monotonic() - began >= config.open_timeout_seconds  # libav reports it in many ways
        if isinstance(error, av.ArgumentError) and not timed_out and _has_address(urlsplit(url).hostname or ""):
            raise NoVideoThere(_NO_VIDEO) from None
        if isinstance(error, av.InvalidDataError) and not timed_out:
            broke_off = url.lower().startswith("rtsp")
            raise NotKnownThere("the server broke off" if broke_off else "not a video that can be read") from None
        within = f"no answer within {config.open_timeout_seconds:g} s"
        refused = isinstance(error, _REFUSALS) and not timed_out
        kind = AccessRefused if refused else SourceError
        raise kind(within if timed_out else _why_no_answer(error, url)) from None
    if container.format.name == "rtsp" and time.monotonic() - began >= config.open_timeout_seconds:
        # The look at its pictures was cut short: another wait, for the first of them, would be in vain.
        container.close()
        raise NothingSent(f"it answers, but sent no picture within {config.open_timeout_seconds:g} s")
    return container


def _why_no_answer(error: Exception, url: str) -> str:
    if not _has_address(urlsplit(url).hostname or ""):
        return "no computer of this name is known: check the spelling, and the network"
    return reason(error)


def _has_address(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True
