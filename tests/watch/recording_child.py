"""Records a clip over and over, and says how many seconds are on the disk, until it is killed."""

from __future__ import annotations

import sys
from datetime import timedelta
from itertools import count
from pathlib import Path

import av

from humandetect.config.recording import RecordConfig
from humandetect.watch.recording import Recordings
from tests.waiting import eventually
from tests.watch.cameras import START


def main(clip: str, folder: str) -> None:
    recorder = Recordings(RecordConfig(record=Path(folder), segment_seconds=10, keep="off")).recorder("door")
    sent = 0
    with av.open(clip) as container:
        video = container.streams.video[0]
        recorder.begin([video])
        for number in count():
            container.seek(0)
            for packet in container.demux(video):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                shift = round(3 * number / packet.time_base)
                packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                sent += packet.size
                arrived = float(packet.dts * packet.time_base)
                recorder.packet(packet, START + timedelta(seconds=arrived))
            eventually(lambda: recorder.writer.bytes_written == sent)  # noqa: B023
            sys.stdout.write(f"{arrived}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
