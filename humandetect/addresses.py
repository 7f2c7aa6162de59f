"""Addresses of cameras and servers as they may be shown, logged, stored and made into file names.

Cameras take their passwords anywhere: before the host, in the query, as words of the path, under dozens of keys. So
nothing is shown because it does not look like a secret, but only what is known to be none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN = "…"
_SCHEMES = frozenset(
    {"http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "ftp", "mms", "ws", "mqtt", "mqtts"}
)
_READ = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp")
_OBJECT_STORES = ("s3", "gs", "az", "abfs", "memory")
OBJECT_STORES = ", ".join(f"{scheme}://" for scheme in _OBJECT_STORES if scheme != "memory")
"""For people, who have no use for what only one process sees."""
_WORDS = frozenset(
    """
    3gp amp api app area asf asp audio av avi aviread axis back bcs bin c cam camera cameras cgi cgistream ch
    channel channels clip clips codec defaultprimary detect dms door east entrance false faststream feed flv fps
    front garage garden gate getmjstream getstream h264 h264preview h265 hall hd healthz hevc high hls hq http
    httppreview image images img index inst ipcam isapi jpeg jpg kitchen left line live livestream lobby low lq m3u8
    main mainstream media mediainput mjpeg mjpegfeed mjpegstream mjpg mkv mov mp4 mpeg mpeg4 mpegts mpg multicast
    north nph nphmotionjpeg office onvif onvifs parking people picture play playlist porch preview primary profile proto
    psia real realmonitor rear right rtp rtsp rtsph264 s sav sd sdp secondary shot sid smp snap snapshot south src
    stream streaming streams street sub substream subtype tcp third track trackid tracks true ts tunnel type udp
    unicast v v1 v2 video videocodec videofeed videomain videos videostream videosub webcam webm west yard
    """.split()  # noqa: SIM905  as a list it could not be read
)
"""What makers of cameras and video servers put into addresses, and common places; may be shown anywhere."""
_NUMBERED = re.compile("([a-z]*)[0-9]{1,2}|[0-9]{3}")
_MOST_DIGITS = 3
"""In one part of an address: numbers of channels and streams have as many, codes have more."""
_ENDINGS = frozenset(
    {"avi", "cgi", "flv", "jpg", "m3u8", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpg", "sdp", "ts", "webm"}
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w-]+(\.[\w-]+)*\.?)(:([0-9]{1,5}|PORT))?")
"""Also of `HOST:PORT`, which messages expect."""
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+?(?=[).,:;]*(?:[\s'\"]|$))")


def looks_like_address(text: str) -> bool:
    """Tell whether a text is meant as an address, also as one with mistakes: `rtsp:user:password@host`."""
    scheme, colon, rest = text.partition(":")
    if colon and (rest.startswith("//") or scheme.lower() in _SCHEMES):
        return True
    return re.search(r"..:.*@|[?&;_/][A-Za-z_-]+=", text, re.DOTALL) is not None


def is_object_store(address: object) -> bool:
    """Tell whether something is an address in S3 or the like, `s3://BUCKET/PATH`; keys to it never stand there."""
    scheme, bucket, _ = _split(address) if isinstance(address, str) else ("", "", "")
    return scheme.lower() in _OBJECT_STORES and bucket != "" and "@" not in bucket


def is_in_memory(address: object) -> bool:
    """Say whether what is at an address no other process sees."""
    return str(address).lower().startswith("memory://")


def path_of(address: str) -> str | None:
    """Return the path that a `file://` address is another name for; None: it is no such address."""
    if address[:7].lower() != "file://":
        return None
    from urllib.request import url2pathname  # takes long to import, and config imports this module

    return url2pathname(urlsplit(address).path)


def address_trouble(address: str) -> str | None:
    """Say why nothing can ever be read at an address; None: it may be."""
    scheme = _split(address)[0]
    if scheme.lower() not in _READ:
        known = f"{', '.join(_READ[:-1])} or {_READ[-1]}"
        way_out = "; a restreamer such as MediaMTX gives SRT as RTSP" if scheme.lower() == "srt" else ""
        return f"no address that can be read: those begin with {known}{way_out}"
    if has_doubtful_host(address):  # libav would ask the network for a host by the name of a piece of the password
        return (
            "an @ stands behind a / ? or #: in a user name or password write these as %2F, %3F and %23, "
            "and behind the host write the @ as %40"
        )
    trouble = _host_trouble(address)
    return trouble and f"{trouble}: {scheme}://HOST:PORT/… is expected"


def has_doubtful_host(address: str) -> bool:
    """Tell whether an `@` stands right of where the host should end, which then may be a piece of a password."""
    return "@" in _split(address)[2]


def shown_address(address: str) -> str:
    """Return scheme, host, port and what else is known to be harmless; the rest becomes `…`.

    Where it is in doubt which part is the host, that is hidden, too. A shown address shown again stays as it is.
    """
    scheme, authority, tail = _split(address)
    if is_object_store(address):
        return address
    if scheme.lower() not in _SCHEMES:
        return HIDDEN
    if not authority or "@" in _decoded(tail):
        return f"{scheme}://{HIDDEN}"
    user, at, host = authority.rpartition("@")
    shown = f"{HIDDEN if user else ''}{at}{host if _HOST.fullmatch(host) else HIDDEN}"
    return f"{scheme}://{shown}{_shown_tail(tail)}"


def without_secrets(text: str) -> str:
    """Return a text in which every address is as `shown_address` has it."""
    return _IN_TEXT.sub(lambda found: shown_address(found[0]), text)


def address_words(shown: str) -> str:
    """Make a part of a file name: `rtsp://host/cam/live?channel=2` -> `live_channel_2`; empty where little is shown."""
    _, authority, tail = _split(shown)
    path, _, query = tail.partition("?")
    names = [name for part in path.split("/") for name in [part.rpartition(".")[0] or part] if name.strip(f"{HIDDEN}.")]
    host = authority.rpartition("@")[2]
    return "_".join(re.findall(r"[A-Za-z0-9][\w.-]*", f"{names[-1] if names else host} {query}"))


def _split(address: str) -> tuple[str, str, str]:
    """Return scheme, authority and the rest with its delimiter; all is the rest where that is not how it is written."""
    found = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/\\?#]*)(.*)", address, re.DOTALL)
    if found:
        return found[1], found[2], found[3]
    scheme, colon, rest = address.partition(":")
    return (scheme, "", rest) if colon else ("", "", address)


def _host_trouble(address: str) -> str | None:
    user, _, host = _split(address)[1].rpartition("@")
    try:
        parts = urlsplit(address)
    except ValueError:
        if "[" in user or "]" in user:
            return "in a user name or password write [ and ] as %5B and %5D"
        return "its host in [ ] is no IPv6 address" if "[" in host or "]" in host else "its host is no name"
    is_pushed = parts.scheme.lower() in ("udp", "rtp")
    if not parts.hostname:
        return f"it names no host{', such as 0.0.0.0 for what is sent to this machine' if is_pushed else ''}"
    try:
        is_port = parts.port != 0
    except ValueError:
        is_port = False
    if is_port and parts.port is None and is_pushed:
        return "it names no port"
    # What else stands there may be the password of an address without its host.
    shown = re.search(":([0-9]{1,5})$", host)
    return None if is_port else f"its port{f' {shown[1]}' if shown else ''} is no number from 1 to 65535"


def _decoded(text: str) -> str:
    """Undo percent-encoding, however often it was done."""
    while (plain := unquote(text)) != text:
        text = plain
    return text


def _shown_tail(tail: str) -> str:
    rest, sharp, fragment = tail.partition("#")
    path, mark, query = rest.partition("?")
    shown_path = "/".join(map(_shown_part, re.split(r"[/\\]", path)))
    shown_query = "&".join(map(_shown_part, re.split("[&;]", query)))
    shown = f"{shown_path}{mark}{shown_query}{sharp}{HIDDEN if fragment else ''}"
    return re.sub(rf"{HIDDEN}(?:[/&]{HIDDEN})+", HIDDEN, shown)  # how many there are is nobody's business


def _shown_part(part: str) -> str:
    if _is_harmless(part):
        return part
    if "=" in part:
        pairs = "_".join(_shown_pairs(part))
        return re.sub(rf"{HIDDEN}(?:_{HIDDEN})+", HIDDEN, pairs)
    ending = part.rpartition(".")[2]
    return f"{HIDDEN}.{ending}" if ending.lower() in _ENDINGS else HIDDEN


def _shown_pairs(part: str) -> Iterator[str]:
    """Yield `channel=1` and the like; some recorders string them together with `_`."""
    for pair in re.split(r"_(?=[A-Za-z]+=)", part):
        key, _, value = pair.partition("=")
        if not key or not _is_harmless(key):  # also its value, whatever that looks like
            yield HIDDEN
        else:
            yield f"{key}={value if _is_harmless(value) else HIDDEN}"


def _is_harmless(part: str) -> bool:
    """Tell whether a part is made of known words and small numbers alone."""
    words = [word for word in re.split("[._-]", part.lower()) if word not in _WORDS]
    numbered = map(_NUMBERED.fullmatch, filter(None, words))
    few = sum(char.isdigit() for word in words for char in word) <= _MOST_DIGITS
    return few and all(found and (found[1] or "") in _WORDS | {""} for found in numbered)
