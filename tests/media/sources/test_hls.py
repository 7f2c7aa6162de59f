"""Promises of HLS: live playlists are live sources, finished ones videos, and neither leads to a file."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO
from unittest import mock

import pytest

from humandetect.errors import SourceError
from humandetect.media.sources import open_source, pacing
from tests.builders import make_clip, write_clip
from tests.media.sources.test_live import Files, serving

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.media.frames import Frame

HEAD = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"


def make_segments(playlist: Path) -> Path:
    """Write 20 frames in 4 segments of 0.1 s, and the playlist of them."""
    return write_clip(playlist, fps=50, hls_time="0.1", hls_list_size="0")


class Rolling(Files):
    """Serves a folder with the segments of `vod.m3u8`; `/live.m3u8` has another two of them each time."""

    asked = count()

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        if self.path != "/live.m3u8":
            return super().send_head()
        first = max(0, next(self.asked) - 1)  # it is asked for what it is, first
        parts = "".join(f"#EXTINF:0.1,\nvod{number}.ts\n" for number in range(first, min(first + 2, 4)))
        text = f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{first}\n{parts}{'#EXT-X-ENDLIST' if first > 1 else ''}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.apple.mpegurl")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        return io.BytesIO(text)


def test_a_live_playlist_is_a_live_source_and_followed_as_it_rolls(tmp_path: Path) -> None:
    make_segments(tmp_path / "vod.m3u8")
    Rolling.asked = count()
    frames: list[Frame] = []
    with serving(partial(Rolling, directory=str(tmp_path))) as url, open_source(f"{url}/live.m3u8") as source:
        assert source.info.kind == "live"
        with pytest.raises(SourceError, match=r"ended after \d+ frames: the connection ended"):
            frames.extend(source)
    assert len(frames) > 15  # beyond what the first playlist held; the decoder still has the last ones
    times = [round(frame.time_seconds, 2) for frame in frames]
    assert times == [round(index / 50, 2) for index in range(len(frames))]


def test_a_finished_playlist_is_a_video(tmp_path: Path) -> None:
    make_segments(tmp_path / "vod.m3u8")
    with serving(partial(Files, directory=str(tmp_path))) as url, open_source(f"{url}/vod.m3u8") as source:
        assert source.info.kind == "video"
        assert len(list(source)) == 20
    assert source.warnings == []


def test_of_several_sizes_the_largest_is_read_and_no_other_loaded(tmp_path: Path) -> None:
    variants = ""
    for width in (32, 64):
        (tmp_path / f"w{width}").mkdir()
        write_clip(tmp_path / f"w{width}" / "vod.m3u8", frames=100, fps=5, width=width, hls_list_size="0", hls_time="1")
        variants += f"#EXT-X-STREAM-INF:BANDWIDTH={width}000\nw{width}/vod.m3u8\n"
    (tmp_path / "all.m3u8").write_text(f"#EXTM3U\n{variants}")
    asked = []

    class Noted(Files):
        def send_head(self) -> io.BytesIO | BinaryIO | None:
            asked.append(self.path)
            return super().send_head()

    with serving(partial(Noted, directory=str(tmp_path))) as url, open_source(f"{url}/all.m3u8") as source:
        assert [frame.image.shape[1] for frame in source] == [64] * 100
    assert "/w64/vod19.ts" in asked
    assert "/w32/vod19.ts" not in asked


@pytest.mark.parametrize("scheme", ["file:", "crypto:", "concat:", "subfile,,start,0,end,0,,:", "data:,"])
def test_a_playlist_leads_to_no_file(tmp_path: Path, scheme: str) -> None:
    secret = make_clip(tmp_path / "secret.ts")
    (tmp_path / "list.m3u8").write_text(f"{HEAD}#EXTINF:1,\n{scheme}{secret}\n#EXT-X-ENDLIST\n")
    with serving(partial(Files, directory=str(tmp_path))) as url, pytest.raises(SourceError, match="not a video"):
        open_source(f"{url}/list.m3u8")


def test_a_piece_is_handed_on_as_it_was_shown_and_what_is_late_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(monkeypatch, 5000, 5100, 5300, None, 5200) == [0, 0.1, 0.2, 0]


def test_pieces_that_were_missed_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else those after them would be missed, too, once a server's clock is ahead by more than its playlist is long."""
    assert waits(monkeypatch, 5000, 5100, 7100, 7200, 20, 120) == [0, 0.1, 0, 0.1, 0, 0.1]


def test_what_comes_later_and_later_is_waited_for_a_little_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing would be waited for any more once a server's clock is behind by all that was read ahead."""
    assert waits(monkeypatch, 5000, 5200, 5100, 5100, 5300) == [0, 0.2, 0, 0, 0.102]


def waits(monkeypatch: pytest.MonkeyPatch, *stamps: int | None) -> list[float]:
    """Return for how long pictures with stamps in milliseconds are held that all are there; sound is not held."""
    slept: list[float] = []
    monkeypatch.setattr(pacing, "time", mock.Mock(monotonic=lambda: sum(slept), sleep=slept.append))
    packets: list[Any] = [SimpleNamespace(dts=10**6, time_base=1, stream_index=1)]
    packets += [SimpleNamespace(dts=stamp, time_base=Fraction(1, 1000), stream_index=0) for stamp in stamps]
    assert list(pacing.at_their_time(packets, 0)) == packets
    return [round(seconds, 6) for seconds in slept]
