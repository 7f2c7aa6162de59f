"""What `kill -9` at random moments leaves of a recording: seconds lost, and files that do not play.

python benchmarks/killed.py [--kills 20] [--seed 1]
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import av
import numpy as np
from common import parser, print_machine, print_table

from humandetect.config.recording import RecordConfig
from humandetect.watch.recording import Recordings
from humandetect.watch.segments import finish_remains

FPS, CLIP_SECONDS, SEGMENT_SECONDS = 25, 4, 2.0


def main() -> None:
    asked = parser(__doc__, clip=False)
    asked.add_argument("--kills", type=int, default=20)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--record", type=Path, help="be the one that is killed")
    options = asked.parse_args()
    if options.record:
        record(options.record)
    print_machine()
    dice = random.Random(options.seed)  # noqa: S311 - the same moments each time
    rows = [kill(dice.uniform(0.5, 6)) for _ in range(options.kills)]
    head = ["seconds recorded", "seconds that play", "files", "files that do not play"]
    print_table("After each kill", head, [[f"{value:g}" for value in row] for row in rows])
    lost = [recorded - plays for recorded, plays, _, _ in rows]
    print_table("Lost", ["most seconds", "files"], [[f"{max(lost):.2f}", str(sum(bad for *_, bad in rows))]])


def kill(after_seconds: float) -> tuple[float, float, int, int]:
    """Return seconds that were recorded, seconds that play, files, and those with a picture that does not decode."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, __file__, "--record", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            child.stdout.readline()
            began = time.monotonic()
            time.sleep(after_seconds)
            child.kill()
            recorded = time.monotonic() - began
        finish_remains(folder)
        files = list(folder.glob("*/*/*.mp4"))
        assert not list(folder.glob("*/*/.*"))
        seconds = [playing_seconds(path) for path in files]
        return round(recorded, 2), round(sum(filter(None, seconds)), 2), len(files), seconds.count(None)


def playing_seconds(path: Path) -> float | None:
    try:
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0)) / FPS
    except (OSError, av.error.FFmpegError):
        return None


def record(folder: Path) -> None:
    """Record a clip, as fast as a camera sends it, for ever."""
    clip = clip_in(folder)
    recorder = Recordings(RecordConfig(record=folder, segment_seconds=SEGMENT_SECONDS)).recorder("door")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    began = time.monotonic()
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for turn in itertools.count():
            container.seek(0)
            for packet in container.demux(video):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                shift = round(turn * CLIP_SECONDS / packet.time_base)
                packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                time.sleep(max(0.0, began + float(packet.dts * packet.time_base) - time.monotonic()))
                recorder.packet(packet, datetime.now().astimezone())


def clip_in(folder: Path) -> Path:
    """Write noise with a key frame a second: 2 Mbit/s of it."""
    path = folder / "clip.mp4"
    noise = np.random.default_rng(1)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FPS, options={"g": str(FPS), "bf": "0", "preset": "ultrafast"})
        video.width, video.height, video.bit_rate = 640, 480, 2_000_000
        for _ in range(FPS * CLIP_SECONDS):
            image = np.kron(noise.integers(0, 255, (48, 64, 3), np.uint8), np.ones((10, 10, 1), np.uint8))
            out.mux(video.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(video.encode(None))
    return path


if __name__ == "__main__":
    main()
