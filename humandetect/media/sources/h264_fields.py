"""Whether an H.264 stream may code the two fields of a picture apart, as its sequence parameter set says."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67](.*?)(?:\x00\x00\x01|\Z)", re.DOTALL)
"""A parameter set in a stream with start codes."""
_SHORTEST_SEQUENCE_BYTES = 4
_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
_FOUR_FOUR_FOUR = 3
_SMALL_LISTS, _SMALL, _LARGE = 6, 16, 64
"""Of scaling lists, the first six have sixteen entries and the others 64."""


def may_have_fields(extradata: bytes | None) -> bool:
    """Tell it by what precedes a stream; of what is damaged it is not believed."""
    try:
        return not _has_frames_only(_Bits(_sequence(extradata or b"")))
    except IndexError:
        return False


def _sequence(extradata: bytes) -> bytes:
    """Return the first parameter set, without its first byte. Raises IndexError where there is none."""
    if extradata[:1] == b"\1":  # as MP4 and Matroska keep it
        length = int.from_bytes(extradata[6:8])
        return extradata[9 : 8 + length]
    found = _SEQUENCE.search(extradata)
    return found[1] if found else b""


def _has_frames_only(bits: _Bits) -> bool:
    """Read up to `frame_mbs_only_flag` of ITU-T H.264, 7.3.2.1.1."""
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    if profile in _HIGH_PROFILES:
        _skip_high_profile(bits)
    bits.golomb()
    if (order := bits.golomb()) == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.skip_golomb(2)
        bits.skip_golomb(bits.golomb())
    bits.golomb()
    bits.take(1)
    bits.skip_golomb(2)
    return bits.take(1) == 1


def _skip_high_profile(bits: _Bits) -> None:
    chroma = bits.golomb()
    if chroma == _FOUR_FOUR_FOUR:
        bits.take(1)
    bits.skip_golomb(2)
    bits.take(1)
    if bits.take(1):
        for number in range(12 if chroma == _FOUR_FOUR_FOUR else 8):
            if bits.take(1):
                _skip_scaling_list(bits, _SMALL if number < _SMALL_LISTS else _LARGE)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = 8
    for _ in range(size):
        code = bits.golomb()
        last = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        if last == 0:  # the rest is as the last that was said
            return


class _Bits:
    """The bits of a parameter set, one after the other. Raises IndexError at its end."""

    def __init__(self, data: bytes) -> None:
        if len(data) < _SHORTEST_SEQUENCE_BYTES:
            raise IndexError
        raw = data.replace(b"\0\0\3", b"\0\0")
        self._bits = f"{int.from_bytes(raw):0{8 * len(raw)}b}"
        self._at = 0

    def take(self, count: int) -> int:
        self._at += count
        if self._at > len(self._bits):
            raise IndexError
        return int(self._bits[self._at - count : self._at], 2)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + (self.take(zeros) if zeros else 0)

    def skip_golomb(self, count: int) -> None:
        for _ in range(count):
            self.golomb()
