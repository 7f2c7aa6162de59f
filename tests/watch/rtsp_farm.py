"""Looped H.264 cameras over RTSP (TCP, interleaved) on 127.0.0.1, which break on command. Needs PyAV only.

    python tests/watch/rtsp_farm.py --port 8554 --control 8555 --cam door=door.mp4 --cam yard=yard.mp4 --seconds 600
    rtsp://127.0.0.1:8554/door         rtsp://user:pw@... when --auth user:pw (Digest is asked for)
    curl -X POST 'http://127.0.0.1:8555/door?state=freeze'
Who connects waits for a key frame of the file, so it should have one each few seconds, as cameras send them.

state=  ok | freeze (TCP stays, RTCP goes on, no picture) | silent (nothing at all) | cut (RST now, refuse later) |
        refuse (accept, close) | hang (accept, never answer) | missing (404)
file=   another H.264 file at once, in band, without telling the client (resolution change)
loss=0.02 (RTP packets left out)  corrupt=0.02 (a byte flipped)  drift=1.05 (RTP clock runs fast)  jump=30 (stamps jump)
sound=1 (a quiet G.711 track beside the pictures; it goes on while they are frozen)
rate=60000 (bytes/s a client: a thin uplink)  kick=1 (close the clients, take new ones)  nosr=1 (no RTCP sender reports)
GET / on the control port answers {"door": {"state":..,"clients":..,"frames":..,"connects":..,"at":..}}.
Ends by itself after --seconds, or with SIGTERM. Tests use `farm_in_thread`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import struct
import sys
import threading
import time
from base64 import b64encode
from bisect import bisect_right
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Self, cast
from urllib.parse import parse_qs, urlsplit

import av
from av.bitstream import BitStreamFilterContext

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

MTU = 1400
CLOCK_HZ = 90_000
REPORT_SECONDS = 5.0
SOUND_HZ, SOUND_SECONDS = 8000, 0.1
"""Of G.711, and of one packet of it."""
QUIET = b"\xff"
MOST_WAITING_BYTES = 8_000_000
"""Of what a client did not take: cameras then leave out all up to the next key frame."""
APART_SECONDS = 0.382
"""Between the beginnings of two cameras' loops: real ones do not send their key frames together."""
NTP_OFFSET_SECONDS = 2_208_988_800
FROZEN = ("freeze", "silent")
BREAKING = ("cut", "refuse", "hang", "missing")
SPS, PPS, FRAGMENT = 7, 8, 28
"""Kinds of NAL units."""
_dice = random.Random()  # noqa: S311  no secret depends on it


class Unit(NamedTuple):
    """One picture as it is sent."""

    decode_seconds: float
    show_seconds: float
    is_key: bool
    nals: Sequence[bytes]


class Clip:
    """A file's pictures with their times from its start; loops without a gap."""

    def __init__(self, path: str) -> None:
        with av.open(path) as container:
            stream = container.streams.video[0]
            if stream.codec_context.name != "h264" or stream.average_rate is None or stream.time_base is None:
                raise SystemExit(f"{path}: {stream.codec_context.name}, but H.264 of a known rate is wanted")
            annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
            packets = [one for packet in container.demux(stream) if packet.size for one in annex_b.filter(packet)]
            self.size = stream.width, stream.height
            base = packets[0].dts or 0
            self.units = [
                Unit(
                    float(((packet.dts or 0) - base) * stream.time_base),
                    float(((packet.pts or 0) - base) * stream.time_base),
                    packet.is_keyframe, nal_units(bytes(cast("bytes", packet))),
                )
                for packet in packets
            ]  # fmt: skip
            self.length_seconds = self.units[-1].decode_seconds + 1 / float(stream.average_rate)
        self.sps, self.pps = (
            next(nal for nal in self.units[0].nals if nal[0] & 31 == kind) for kind in (SPS, PPS)
        )  # fmt: skip

    def whole(self, unit: Unit) -> Sequence[bytes]:
        """Return the NAL units of a picture; those of a key frame with all that its decoder needs."""
        known = not unit.is_key or any(nal[0] & 31 == SPS for nal in unit.nals)
        return unit.nals if known else (self.sps, self.pps, *unit.nals)


def nal_units(data: bytes) -> list[bytes]:
    """Split what is parted by start codes."""
    return [nal.rstrip(b"\0") for nal in re.split(b"\0\0\1", data)[1:] if nal.rstrip(b"\0")]


def rtp_payloads(nal: bytes) -> list[bytes]:
    """Return a NAL unit as it fits packets: whole, or in fragments (FU-A)."""
    if len(nal) <= MTU:
        return [nal]
    head, body = nal[0], nal[1:]
    starts = range(0, len(body), MTU)
    return [
        bytes([head & 0xE0 | FRAGMENT, head & 31 | (at == 0) << 7 | (at == starts[-1]) << 6]) + body[at : at + MTU]
        for at in starts
    ]


@dataclass(eq=False)
class FarmCamera:
    """One camera, and how it is broken."""

    clip: Clip
    state: str = "ok"
    loss: float = 0.0
    corrupt: float = 0.0
    drift: float = 1.0
    jump: float = 0.0
    """Seconds that its stamps are ahead."""
    rate: float = 0.0
    """Bytes a second that a client gets; 0: all."""
    nosr: float = 0.0
    sound: float = 0.0
    frames: int = 0
    connects: int = 0
    at: float = 0.0
    """When it last sent a picture."""
    began: float = field(default_factory=time.monotonic)
    """When its clip did; the camera's own clock goes on over a change of clips."""
    switched_on: float = field(default_factory=time.monotonic)
    first_stamp: int = field(default_factory=lambda: random.getrandbits(31))
    clients: set[StreamWriter] = field(default_factory=set)

    def use(self, clip: Clip) -> None:
        self.clip, self.began = clip, time.monotonic()

    def kick(self) -> None:
        for client in tuple(self.clients):
            client.transport.abort()

    def told(self) -> dict[str, object]:
        return {
            "state": self.state, "clients": len(self.clients), "frames": self.frames, "connects": self.connects,
            "at": round(self.at, 3), "size": self.clip.size,
        }  # fmt: skip


class Sender:
    """What one client gets of a camera, as RTP within its RTSP connection."""

    def __init__(self, camera: FarmCamera, writer: StreamWriter, *, from_key: bool) -> None:
        self._camera, self._writer = camera, writer
        self._waits_for_key = from_key
        self._source = random.getrandbits(32)
        self._sequence = random.getrandbits(15)
        self._reported = 0.0
        self._free_at = 0.0
        """When a thin uplink has sent what it was given."""

    async def run(self) -> None:
        with suppress(ConnectionError):
            async for start, unit in self._due_units():
                await self._take(unit, self._stamp(start + unit.show_seconds))

    async def hum(self) -> None:
        """Send sound that is quiet, whether pictures come or not."""
        source, size = self._source + 1, int(SOUND_HZ * SOUND_SECONDS)
        with suppress(ConnectionError):
            for number in count():
                if self._camera.state != "silent":
                    head = struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, number * size, source & 0xFFFFFFFF)
                    self._writer.write(struct.pack(">cBH", b"$", 2, len(head) + size) + head + QUIET * size)
                await asyncio.sleep(SOUND_SECONDS)

    async def _due_units(self) -> AsyncIterator[tuple[float, Unit]]:
        """Yield each picture when it is due, with the start of its loop; another clip begins from its start."""
        while True:
            clip, began = self._camera.clip, self._camera.began
            loop, inside = divmod(time.monotonic() - began, clip.length_seconds)
            index = max(0, bisect_right(clip.units, inside, key=lambda unit: unit.decode_seconds) - 1)
            for number in count(index):
                loops, at = divmod(number, len(clip.units))
                start = (loop + loops) * clip.length_seconds
                due = began + start + clip.units[at].decode_seconds
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._camera.began != began:
                    break
                yield start, clip.units[at]

    def _stamp(self, seconds: float) -> int:
        camera = self._camera
        seconds += camera.began - camera.switched_on
        return (camera.first_stamp + int(CLOCK_HZ * (seconds * camera.drift + camera.jump))) & 0xFFFFFFFF

    async def _take(self, unit: Unit, stamp: int) -> None:
        camera, now = self._camera, time.time()
        if camera.state != "silent" and not camera.nosr and now - self._reported > REPORT_SECONDS:
            self._reported = now
            self._send_report(now, stamp)
        congested = self._writer.transport.get_write_buffer_size() > MOST_WAITING_BYTES
        if camera.state in FROZEN or congested:
            self._waits_for_key = True
            return
        if self._waits_for_key and not unit.is_key:
            return
        self._waits_for_key = False
        camera.frames, camera.at = camera.frames + 1, now
        sent = self._send(camera.clip.whole(unit), stamp)
        if camera.rate:
            self._free_at = max(self._free_at, time.monotonic()) + sent / camera.rate
            await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))

    def _send_report(self, now: float, stamp: int) -> None:
        ntp = int((now + NTP_OFFSET_SECONDS) * 2**32)
        self._writer.write(
            struct.pack(">BBHBBHIQIII", ord("$"), 1, 28, 0x80, 200, 6, self._source, ntp, stamp, 0, 0)
        )  # fmt: skip

    def _send(self, nals: Sequence[bytes], stamp: int) -> int:
        """Send a picture; return its bytes."""
        payloads = [payload for nal in nals for payload in rtp_payloads(nal)]
        sent = 0
        for number, payload in enumerate(payloads, 1):
            self._sequence = (self._sequence + 1) & 0xFFFF
            if _dice.random() < self._camera.loss:
                continue
            kind = 96 | (0x80 if number == len(payloads) else 0)
            packet = struct.pack(">BBHII", 0x80, kind, self._sequence, stamp, self._source) + self._damaged(payload)
            self._writer.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            sent += len(packet) + 4
        return sent

    def _damaged(self, payload: bytes) -> bytes:
        if len(payload) <= 40 or _dice.random() >= self._camera.corrupt:
            return payload
        at = _dice.randrange(20, len(payload))
        return payload[:at] + bytes([payload[at] ^ 0x55]) + payload[at + 1 :]


class Request(NamedTuple):
    """What a client asks; names of headers in small letters."""

    method: str
    url: str
    headers: Mapping[str, str]


class Client:
    """One RTSP connection."""

    def __init__(self, farm: Farm, reader: StreamReader, writer: StreamWriter) -> None:
        self._farm, self._reader, self._writer = farm, reader, writer
        self._camera: FarmCamera | None = None
        self._sending: list[asyncio.Task[None]] = []
        self._nonce = f"{random.getrandbits(64):x}"

    async def serve(self) -> None:
        try:
            while await self._answer(await self._request()):
                await self._writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            for task in self._sending:
                task.cancel()
            if self._camera:
                self._camera.clients.discard(self._writer)
            self._writer.close()

    async def _request(self) -> Request:
        while (first := await self._reader.readexactly(1)) == b"$":  # the client's RTCP
            _, length = struct.unpack(">BH", await self._reader.readexactly(3))
            await self._reader.readexactly(length)
        method, url, _ = (first + await self._reader.readline()).decode().split()
        headers: dict[str, str] = {}
        while line := (await self._reader.readline()).decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, url, headers)

    async def _answer(self, request: Request) -> bool:
        """Do as asked; return whether the connection goes on."""
        name = urlsplit(request.url).path.strip("/").split("/")[0]
        camera = self._camera = self._farm.cameras.get(name, self._camera)
        if camera is None or camera.state in ("cut", "refuse"):
            self._writer.transport.abort()
            return False
        if camera.state == "hang":
            await self._reader.read(-1)
            return False
        if camera.state == "missing":
            self._say(request, "404 Not Found")
            return False
        if request.method != "OPTIONS" and not self._is_allowed(request):
            self._say(request, "401 Unauthorized", f'WWW-Authenticate: Digest realm="farm", nonce="{self._nonce}"')
            return True
        return self._do(request, camera)

    def _do(self, request: Request, camera: FarmCamera) -> bool:
        session = f"Session: {self._nonce};timeout=60"
        match request.method:
            case "OPTIONS":
                self._say(request, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
            case "DESCRIBE":
                heads = f"Content-Base: {request.url}/", "Content-Type: application/sdp"
                self._say(request, "200 OK", *heads, body=_description(camera))
            case "SETUP" if "TCP" not in request.headers.get("transport", ""):
                self._say(request, "461 Unsupported Transport")
            case "SETUP":
                channels = "2-3" if request.url.endswith("track2") else "0-1"
                self._say(request, "200 OK", f"Transport: RTP/AVP/TCP;unicast;interleaved={channels}", session)
            case "PLAY":
                self._say(request, "200 OK", session, "Range: npt=now-")
                camera.clients.add(self._writer)
                camera.connects += 1
                sender = Sender(camera, self._writer, from_key=self._farm.from_key)
                work = [sender.run(), sender.hum()] if camera.sound else [sender.run()]
                self._sending = [asyncio.create_task(one) for one in work]
            case _:
                self._say(request, "200 OK", session)
        return request.method != "TEARDOWN"

    def _say(self, request: Request, status: str, *headers: str, body: str = "") -> None:
        length = [f"Content-Length: {len(body)}"] if body else []
        head = [f"RTSP/1.0 {status}", f"CSeq: {request.headers.get('cseq', 0)}", *headers, *length]
        self._writer.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())

    def _is_allowed(self, request: Request) -> bool:
        given, wanted = request.headers.get("authorization", ""), self._farm.auth
        if wanted is None or given == f"Basic {b64encode(wanted.encode()).decode()}":
            return True
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', given.removeprefix("Digest ")))
        user, _, password = wanted.partition(":")
        secret, asked = _md5(f"{user}:farm:{password}"), _md5(f"{request.method}:{said.get('uri', '')}")
        return said.get("response") == _md5(f"{secret}:{self._nonce}:{asked}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _description(camera: FarmCamera) -> str:
    clip = camera.clip
    sound = ("m=audio 0 RTP/AVP 0", "a=control:track2") if camera.sound else ()
    sets = ",".join(b64encode(one).decode() for one in (clip.sps, clip.pps))
    lines = (
        "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=farm", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*",
        "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000",
        f"a=fmtp:96 packetization-mode=1;profile-level-id={clip.sps[1:4].hex()};sprop-parameter-sets={sets}",
        "a=control:track1", *sound, "",
    )  # fmt: skip
    return "\r\n".join(lines)


class Farm:
    """All cameras, and their panel; used within one event loop."""

    def __init__(
        self, cameras: Mapping[str, str], *, port: int = 0, control: int = 0, auth: str | None = None,
        from_key: bool = True,
    ) -> None:  # fmt: skip
        """`cameras` are files by name, `auth` is USER:PASSWORD; ports of 0 are free ones."""
        self._clips = {path: Clip(path) for path in cameras.values()}
        self.cameras = {name: FarmCamera(self._clips[path]) for name, path in cameras.items()}
        for number, camera in enumerate(self.cameras.values()):  # no two cameras send their key frames together
            camera.began -= number * APART_SECONDS
        self.port, self.control = port, control
        self.auth, self.from_key = auth, from_key

    async def __aenter__(self) -> Self:
        self._rtsp = await asyncio.start_server(lambda *ends: Client(self, *ends).serve(), "127.0.0.1", self.port)
        self._panel = await asyncio.start_server(self._serve_panel, "127.0.0.1", self.control)
        self.port = self._rtsp.sockets[0].getsockname()[1]
        self.control = self._panel.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in (self._rtsp, self._panel):
            server.close()
        for camera in self.cameras.values():
            camera.kick()

    def change(self, name: str, faults: Mapping[str, str]) -> None:
        """Break a camera, or mend it. Raises KeyError, ValueError."""
        camera = self.cameras[name]
        for fault, value in faults.items():
            match fault:
                case "file":
                    camera.use(self._clips.setdefault(value, Clip(value)))
                case "state":
                    camera.state = value
                case "jump":
                    camera.jump += float(value)
                case "loss" | "corrupt" | "drift" | "rate" | "nosr" | "sound":
                    setattr(camera, fault, float(value))
        if "kick" in faults or faults.get("state") in BREAKING:
            camera.kick()

    async def _serve_panel(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            url = urlsplit((await reader.readline()).decode().split()[1])
            while (await reader.readline()).strip():
                pass
            names = list(self.cameras) if url.path in ("/", "/all") else [url.path[1:]]
            for name in names:
                self.change(name, {key: values[-1] for key, values in parse_qs(url.query).items()})
            status, told = "200 OK", {name: camera.told() for name, camera in self.cameras.items()}
        except (ConnectionError, IndexError, ValueError, KeyError) as error:
            sys.stderr.write(f"control: {error!r}\n")
            status, told = "404 Not Found", {}
        body = json.dumps(told).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()


class RunningFarm:
    """A farm on a thread of its own."""

    def __init__(self, farm: Farm, loop: asyncio.AbstractEventLoop) -> None:
        self._farm, self._loop = farm, loop

    def url(self, name: str, *, login: str = "") -> str:
        return f"rtsp://{f'{login}@' if login else ''}127.0.0.1:{self._farm.port}/{name}"

    def camera(self, name: str) -> FarmCamera:
        """Return a camera, to be asked and not to be changed."""
        return self._farm.cameras[name]

    def change(self, name: str, **faults: object) -> None:
        """Break a camera, or mend it; done when this returns."""

        async def done() -> None:
            self._farm.change(name, {fault: str(value) for fault, value in faults.items()})

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)


@contextmanager
def farm_in_thread(cameras: Mapping[str, str], *, auth: str | None = None) -> Iterator[RunningFarm]:
    """Run a farm on free ports until the end of the block."""
    farm, started, ended = Farm(cameras, auth=auth), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with farm:
            started.set()
            await ended.wait()
        await asyncio.sleep(0)  # for connections to hear of it

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=work, name="farm")
    thread.start()
    try:
        assert started.wait(60)
        yield RunningFarm(farm, loop)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(60)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--control", type=int, default=8555)
    parser.add_argument("--cam", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--auth", metavar="USER:PASSWORD")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--start", choices=["key", "mid"], default="key")
    given = parser.parse_args()
    cameras = dict(pair.split("=", 1) for pair in given.cam)
    async with Farm(
        cameras, port=given.port, control=given.control, auth=given.auth, from_key=given.start == "key"
    ) as farm:  # fmt: skip
        ports = {"rtsp": farm.port, "control": farm.control, "cams": list(farm.cameras)}
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(given.seconds)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
