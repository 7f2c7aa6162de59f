"""Opens what is at an address, as cameras and servers send it, by libav; what is said of that holds no part of it."""

from __future__ import annotations

import errno
import socket
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import av
from av.stream import Discard

from humandetect.addresses import address_trouble
from humandetect.errors import SourceError
from humandetect.media.image_headers import is_image
from humandetect.media.sources.container import DEMUXERS, Media, NothingSent, decoder_limits, reason

if TYPE_CHECKING:
    from av.container import InputContainer

    from humandetect.config import SourceConfig

_FROM_ADDRESSES = DEMUXERS.replace("mpjpeg,", "rtsp,rtp,hls,")
"""JPEGs in parts are read by ourselves where we can: libav knows no bound for one that never ends."""
_HTTP = "http,https,tls,tcp,crypto"
_PROTOCOLS = {
    "http": _HTTP,
    "https": _HTTP,
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsps,rtsp,rtp,tls,tcp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "udp": "udp",
    "rtp": "rtp,udp",
}
"""All that what is at an address may lead to: redirects, and playlists of HLS with their keys; never files."""
_UNASKED = ("udp", "rtp")
_ENDLESS = ("rtmp", "rtmps", *_UNASKED)
_NO_VIDEO = (
    "this is a playlist or another format that is not read from an address; give the address of the video itself"
)
_BROKE_OFF = "the server broke off"
_NOT_KNOWN = {
    "rtsp": _BROKE_OFF,
    "rtsps": _BROKE_OFF,
    "rtp": "no MPEG-TS, and other RTP does not say what it holds: let a restreamer such as MediaMTX give it as RTSP",
}
_VIDEO_PAGES = frozenset({"youtube.com", "youtu.be", "vimeo.com", "twitch.tv", "dailymotion.com"})
_REFUSALS: dict[type[Exception], str] = {
    av.HTTPUnauthorizedError: "check user and password",
    av.HTTPForbiddenError: "this user may not see it, or there were too many tries",
    av.HTTPNotFoundError: "check the path in the address",
}
"""RTSP has the same numbers as HTTP, and libav the same errors."""
_PROBE = {"analyzeduration": "1000000", "probesize": "500000", "fpsprobesize": "0"}
_SHORTEST_PROBE = {"analyzeduration": "100000", "probesize": "32", "fpsprobesize": "0"}
"""RTSP servers say what they send; to watch it for a while first, as libav does by itself, costs 3 s and a burst."""


class NoVideoThere(SourceError):
    """What is at an address may be a picture, or one after the other."""


class AccessRefused(SourceError):
    """A server that answers, but not with what was asked for: it wants a password, or has nothing there."""


class _TransportRefused(SourceError):
    """An RTSP server that answers 461."""


def open_url(url: str, config: SourceConfig, *, at_once: bool = False, in_parts: bool = False) -> Media:
    """Open the address of a stream or a file. Raises SourceError; no message and no cause holds a part of it.

    With `at_once` a camera's rate stays unknown, and its size may, until its first picture. With `in_parts` libav reads
    JPEGs in parts, too.
    """
    if trouble := address_trouble(url):
        raise SourceError(trouble)
    scheme = _scheme(url)
    if (urlsplit(url).hostname or "").removeprefix("www.").removeprefix("m.") in _VIDEO_PAGES:
        raise SourceError("a page with a video in it, no video: save the video, e.g. with yt-dlp, and give the file")
    warning = ""
    wanted = config.rtsp_transport
    demuxers = _FROM_ADDRESSES + ",mpjpeg" * in_parts
    open_by = partial(_open_address, url, config, demuxers=demuxers, at_once=at_once)
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
    # Elsewhere a missing duration says nothing: MPEG-TS has none over HTTP, and losing frames of a file would be wrong.
    goes_on = container.format.name == "hls" and container.duration is None
    live = goes_on or scheme in _ENDLESS or container.format.name in ("rtsp", "mpjpeg")
    _take_one_variant(container)
    return Media(container, None, live=live, seekable=False, warning=warning, in_pieces=goes_on)


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _take_one_variant(container: InputContainer) -> None:
    """Let HLS that comes in several sizes be loaded in the largest alone."""
    sizes = container.streams.video
    best = max(sizes, key=lambda stream: stream.width * stream.height, default=None)
    wanted = best and best.metadata.get("variant_bitrate")
    for stream in container.streams if wanted else ():
        if stream.metadata.get("variant_bitrate", wanted) != wanted:
            stream.discard = Discard.all


def _open_address(url: str, config: SourceConfig, *, transport: str, demuxers: str, at_once: bool) -> InputContainer:
    scheme = _scheme(url)
    options = {
        "format_whitelist": demuxers, "protocol_whitelist": _PROTOCOLS[scheme], "rtsp_transport": transport,
        "overrun_nonfatal": "1",  # what UDP brings while nobody reads is lost, and that is all
    }  # fmt: skip
    if not scheme.startswith("http"):
        options |= _SHORTEST_PROBE if at_once and scheme.startswith("rtsp") else _PROBE
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
        # The cause is not chained: its text and its frames hold the password.
        timed_out = time.monotonic() - began >= config.open_timeout_seconds  # libav reports it in many ways
        raise (_too_late(scheme, config) if timed_out else _refusal(error, url)) from None
    if container.format.name == "rtsp" and time.monotonic() - began >= config.open_timeout_seconds:
        # The look at its pictures was cut short: another wait, for the first of them, would be in vain.
        container.close()
        raise NothingSent(
            f"it answers, but sent no picture within {config.open_timeout_seconds:g} s: if it is awake, let it send "
            "key frames (GOP) each 2 s"
        )
    return container


def _too_late(scheme: str, config: SourceConfig) -> SourceError:
    within = f"within {config.open_timeout_seconds:g} s"
    if scheme in _UNASKED:
        return NothingSent(f"nothing came {within}: is it sent to this port, and does the firewall let it in?")
    return SourceError(f"no answer {within}")


def _refusal(error: Exception, url: str) -> SourceError:
    """Say what libav's error means; its text may hold the address."""
    scheme = _scheme(url)
    if getattr(error, "errno", None) == errno.EPROTONOSUPPORT and scheme.startswith("rtsp"):
        return _TransportRefused("the server supports no way to send that was asked for")
    if isinstance(error, av.InvalidDataError):
        return SourceError(_NOT_KNOWN.get(scheme, "not a video that can be read"))
    if not _has_address(urlsplit(url).hostname or ""):
        return SourceError("no computer of this name is known: check the spelling, and the network")
    if isinstance(error, av.ArgumentError):
        return NoVideoThere(_NO_VIDEO)
    fix = _REFUSALS.get(type(error))
    return SourceError(reason(error)) if fix is None else AccessRefused(f"{reason(error)}: {fix}")


def _has_address(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True
