"""Opens media by libav in a way that it reads what it was given and nothing else.

Three locks, because a playlist can wear any name: only demuxers of real media are allowed, files may use no protocol at
all, and whatever a demuxer still wants to open meets `_refuse`. libav never sees a file's name: it reads meaning into
some (`%03d`, `concat:`), and cannot spell others.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, BinaryIO

import av

from humandetect.errors import SourceError
from humandetect.media.image_headers import HEAD_BYTES, RAW_PHOTO, is_raw_photo
from humandetect.media.sources.pacing import at_their_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from av.container import InputContainer

    from humandetect.config import SourceConfig

DEMUXERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,asf,rm,nut,mxf,gxf,dv,wtv,nsv,ivf,swf,dhav,"
    "h261,h263,h264,hevc,vvc,av1,obu,cavsvideo,dirac,vc1,mjpeg,mpjpeg,yuv4mpegpipe,gif,apng,"
    "mp3,aac,ac3,eac3,flac,wav,aiff,amr,caf"  # sound alone: opened only to say so
)
EXACT = {"mov", "matroska"}
"""Containers that have an index of key frames, and stamps that are those of the pictures."""
_BUFFER_BYTES = 256 * 1024
_HEAD_BYTES = 512
_INDEX_LAST = "the index of this MP4 comes last, where a pipe cannot reach it; save it as a file and give its name"
_NO_RANGES = (
    "no frame came: the index of this MP4 comes last and the server sends no parts of files (ranges), or it is "
    "damaged; download it and give the file's name"
)
_JPEG = b"\xff\xd8"
_MOST_PIXELS = 2**31 - 1
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"v=0", b"<MPD", b"[playlist]")


class Input:
    """Bytes for libav, which sees their end where a read fails and would swallow the error: `check` raises it."""

    def __init__(self, file: BufferedReader, *, most_seconds: float = math.inf) -> None:
        """Bound the time from one packet to the next, if whoever takes packets says so by `packet_came`."""
        self.error: BaseException | None = None
        self.head = b""
        """The first bytes, to explain what could not be opened."""
        self._file = file
        self._most_seconds = most_seconds
        self.packet_came()

    def packet_came(self) -> None:
        self._packet_since = math.inf

    def read(self, size: int) -> bytes:
        try:
            # What a pipe has now; it may be a while until there is more.
            taken = b"" if self.error else self._file.read1(size)
            self._check_time()
        except BaseException as error:  # also KeyboardInterrupt
            self.error = error
            return b""
        self.head = self.head or taken[:_HEAD_BYTES]
        return taken

    def _check_time(self) -> None:
        now = time.monotonic()
        self._packet_since = min(self._packet_since, now)
        if now - self._packet_since > self._most_seconds:
            raise NothingSent(f"no picture for {self._most_seconds:g} s")

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    @property
    def is_mp4(self) -> bool:
        return self.head[4:8] == b"ftyp"

    def check(self) -> None:
        """Raise what a read met."""
        error, self.error = self.error, None
        if isinstance(error, OSError):
            kind = NothingSent if isinstance(error, TimeoutError) else SourceError
            raise kind(f"reading failed: {error.strerror or error}") from error
        if isinstance(error, HTTPException):
            raise SourceError("reading failed: the server broke off") from error
        if error is not None:
            raise error

    def close(self) -> None:
        self._file.close()


@dataclass
class Media:
    """An open container and the bytes below it."""

    container: InputContainer
    bytes: Input | None
    """None for URLs, which libav reads itself."""
    live: bool
    seekable: bool
    size: int | None = None
    warning: str = ""
    """What people should know of the way in which it is read."""
    in_pieces: bool = False
    """Whether a live stream comes some seconds at a time."""

    @property
    def invents_stamps(self) -> bool:
        """Whether the demuxer makes up when pictures were, as for cameras that send one JPEG after the other."""
        return self.live and self.container.format.name == "mpjpeg"

    @property
    def times_packets(self) -> bool:
        """Whether it tells when packets come and not when pictures are shown: each is when a packet of its number is.

        libav would guess, and errs where pictures are coded in another order than that in which they are shown.
        """
        return self.container.format.name == "avi"

    @property
    def guesses_stamps(self) -> bool:
        """Whether some packets alone have stamps: after a seek libav guesses those before the first of them wrong."""
        return self.container.format.name == "mpeg"

    @property
    def tells_pictures(self) -> bool:
        """Whether packets have the stamps of their pictures, and an index or lengths lead past damage to the next."""
        return self.container.format.name.split(",")[0] in EXACT and not self.live

    def why_no_picture(self) -> str:
        """Explain a video stream that gives nothing."""
        if self.bytes is not None and self.bytes.is_mp4 and not self.seekable:
            return _INDEX_LAST
        if self.bytes is None and self.container.format.name.startswith("mov"):
            return _NO_RANGES
        return "no frame of its video can be decoded: damaged, or larger than allowed"

    def packets(self, *streams: av.VideoStream | av.AudioStream) -> Iterator[av.Packet[Any]]:
        """Yield packets in the order in which they come."""
        packets = self.container.demux(*streams)
        for packet in at_their_time(packets, streams[0].index) if self.in_pieces else packets:
            if self.bytes is not None:
                self.bytes.packet_came()
            yield packet

    def check(self) -> None:
        if self.bytes is not None:
            self.bytes.check()

    def close(self) -> None:
        self.container.close()
        if self.bytes is not None:
            self.bytes.close()


def open_bytes(
    file: BufferedReader, config: SourceConfig, *, parses: bool = True, most_seconds: float = math.inf
) -> Media:
    """Open a container from a file or a pipe. Raises SourceError and closes the file when that fails.

    Unless it `parses`, packets are as the container tells them, whatever is in them. `most_seconds` bounds the time
    from one to the next.
    """
    data = Input(file, most_seconds=most_seconds)
    try:
        head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
        if is_raw_photo(head):  # some look like a film
            raise SourceError(RAW_PHOTO)
        seekable = file.seekable()
        size = _length(file) if seekable else None
        demuxer = "mjpeg" if head.startswith(_JPEG) else None  # libav may take it for a single one
        container = _open(data, config, demuxer=demuxer, parses=parses)
    except BaseException:
        file.close()
        raise
    return Media(container, data, live=False, seekable=seekable, size=size)


def _length(file: BufferedReader) -> int:
    at = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(at)
    return length


def open_motion_jpeg(file: BufferedReader, config: SourceConfig) -> Media:
    """Open a live stream of JPEGs in parts. Raises SourceError and closes it when that fails."""
    data = Input(file)
    try:
        return Media(_open(data, config, demuxer="mpjpeg"), data, live=True, seekable=False)
    except BaseException:
        file.close()
        raise


def _open(data: Input, config: SourceConfig, *, demuxer: str | None = None, parses: bool = True) -> InputContainer:
    locks = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    unparsed = {} if parses else {"fflags": "noparse+nofillin", "probesize": "32"}
    try:
        container = av.open(
            data,
            mode="r",
            format=demuxer,
            options=decoder_limits(config),
            container_options=locks | unparsed,
            io_open=_refuse,
            buffer_size=_BUFFER_BYTES,
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError, ValueError, UnicodeError) as error:
        data.check()
        raise SourceError(_why_not(error, data)) from error
    data.check()
    return container


class PictureTooLong(SourceError):
    """A picture that never ends."""


class NothingSent(SourceError):
    """A camera that answers, and is slow or has no picture."""


def decoder_limits(config: SourceConfig) -> dict[str, str]:
    """Return options that keep decoders from allocating what a damaged or hostile stream asks for."""
    pixels = config.max_megapixels * 1.1e6 + 1e6  # decoders round the size up
    return {"max_pixels": str(int(min(pixels, _MOST_PIXELS)))}


def reason(error: Exception) -> str:
    """Return libav's words without the name of what was opened."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _refuse(url: str, _flags: int, _options: dict[str, Any]) -> BinaryIO:
    raise PermissionError(f"media may not open {url!r}")


def _why_not(error: Exception, data: Input) -> str:
    if isinstance(error, PermissionError) or is_playlist(data.head):
        return "it points to other files, as a playlist does, which is not followed; give the video itself"
    if not data.is_mp4:
        return "not an image or video that can be read"
    if data.seekable():
        return "the MP4 or MOV file has no index (moov): it was cut off, or its recording never ended"
    return _INDEX_LAST


def is_playlist(head: bytes) -> bool:
    """Tell by the first bytes whether something points to other files."""
    return head.startswith(_PLAYLISTS) or (head.startswith(b"<?xml") and b"<MPD" in head)
