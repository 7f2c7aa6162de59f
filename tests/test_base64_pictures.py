"""Base64 as clients write it is read; whatever else stands in its place is refused with a reason."""

from __future__ import annotations

import base64
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from humandetect.base64_pictures import check_bytes, decode_base64, encode_base64
from humandetect.errors import SourceError

LIMIT = 2000
PREFIXES = [
    "",
    "data:image/jpeg;base64,",
    "DATA:Image/PNG;Base64,",
    "data:image/svg+xml;charset=utf-8;base64,",
    " \n data:image/x-icon;base64,\r\n",
]
bounded = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def decoded(text: str, *, max_bytes: int = LIMIT) -> bytes:
    return decode_base64(text, max_bytes=max_bytes)


@st.composite
def disguised(draw: st.DrawFn) -> tuple[bytes, str]:
    """Bytes, and a text that a client might send for them."""
    data = draw(st.binary(min_size=1, max_size=300))
    letters = list(base64.b64encode(data).decode())
    pads = letters.count("=")
    letters = letters[: len(letters) - draw(st.integers(0, pads))]
    for at in draw(st.sets(st.integers(0, len(letters) - 1), max_size=20)):
        letters[at] = {"+": "-", "/": "_"}.get(letters[at], letters[at])
    for at in sorted(draw(st.sets(st.integers(0, len(letters)), max_size=20)), reverse=True):
        letters.insert(at, draw(st.sampled_from(["\n", "\r\n", " ", "\t", "\v", "\f"])))
    return data, draw(st.sampled_from(PREFIXES)) + "".join(letters)


@bounded
@given(disguised())
def test_bytes_come_through_every_disguise(both: tuple[bytes, str]) -> None:
    data, text = both
    assert decoded(text) == data


@bounded
@given(st.binary(max_size=300))
def test_what_is_encoded_is_plain_base64(data: bytes) -> None:
    text = encode_base64(data)
    assert text.encode() == base64.b64encode(data)
    assert not data or decoded(text) == data


@bounded
@given(st.text() | st.text("Aa0+/-_= \n", max_size=60) | disguised().map(lambda both: both[1]), st.integers(1, 60))
@example("data:" * 1000, 10)
@example("data:image/" + "a;b=c;" * 200 + "base64,QQ", 10)
@example("\ud800", 10)
@example("9" * 100_000, 10)
def test_any_text_gives_fewer_bytes_than_the_limit_or_a_reason(text: str, max_bytes: int) -> None:
    try:
        data = decoded(text, max_bytes=max_bytes)
    except SourceError:
        return
    assert 0 < len(data) < max_bytes


@bounded
@given(
    st.text("QRSTabc019+/", min_size=1, max_size=80),
    st.integers(0, 80),
    st.sampled_from("!.:,*%\\\"'=\0\x7f\x1c\x85ä€"),
)
def test_a_stranger_anywhere_is_refused(text: str, at: int, stranger: str) -> None:
    at = min(at, len(text) - 1)
    with pytest.raises(SourceError, match=r"^(not base64: |URLs are not fetched)"):
        decoded(text[:at] + stranger + text[at:])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \r\n\t", "empty"),
        ("data:image/png;base64,", "empty"),
        ("QUJDR", "not base64: its end is missing"),
        ("QUJD=", "not base64: too much padding at its end"),
        ("QQ===", "not base64: too much padding at its end"),
        ("====", "not base64: too much padding at its end"),
        ("QQ==QQ==", "not base64: it holds '='"),
        ("QU!D", "not base64: it holds '!'"),
        ("QUJD\0", r"not base64: it holds '\x00'"),
        ("QUJä", "not base64: it holds characters beyond ASCII"),
        ("QUJ\N{NO-BREAK SPACE}D", "not base64: it holds characters beyond ASCII"),
        ("data:image/png,QUJD", "not base64: a data URL must begin with data:...;base64,"),
        ("http://127.0.0.1/a.jpg", "URLs are not fetched: send the picture itself"),
        ("HTTPS://example.org/a.jpg", "URLs are not fetched: send the picture itself"),
        ("file:///etc/passwd", "URLs are not fetched: send the picture itself"),
        ("../../secret.jpg", "not base64: it holds '.'"),
        ("C:\\people.jpg", "not base64: it holds ':'"),
    ],
)
def test_every_refusal_says_why(text: str, reason: str) -> None:
    with pytest.raises(SourceError, match=f"^{re.escape(reason)}$"):
        decoded(text)


def test_a_path_of_base64s_own_letters_is_only_letters() -> None:
    assert decoded("/etc/passwd") == base64.b64decode("/etc/passwd=")


@pytest.mark.parametrize("disguise", [str, lambda text: "\n".join(text), lambda text: text.rstrip("=")])
def test_the_limit_itself_is_too_much(disguise: object) -> None:
    assert callable(disguise)
    for size in (LIMIT - 3, LIMIT - 2, LIMIT - 1):
        assert len(decoded(disguise(encode_base64(bytes(size))))) == size
    for size in (LIMIT, LIMIT + 1, LIMIT * 3):
        with pytest.raises(SourceError, match=r"too large \(limit 0\.002 MB\)"):
            decoded(disguise(encode_base64(bytes(size))))


def test_too_large_is_told_in_megabytes_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> bytes:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("pybase64.b64decode", explode)
    text = "A" * (6_200_000 * 4 // 3)
    with pytest.raises(SourceError, match=r"^image of 6\.2 MB is too large \(limit 5 MB\)$"):
        decoded(text, max_bytes=5_000_000)


def test_the_size_of_raw_bytes_is_checked_in_the_same_words() -> None:
    check_bytes(4_999_999, max_bytes=5_000_000)
    with pytest.raises(SourceError, match=r"^image of 5 MB is too large \(limit 5 MB\)$"):
        check_bytes(5_000_000, max_bytes=5_000_000)


def test_hostile_texts_of_many_megabytes_are_refused_at_once() -> None:
    began = time.monotonic()
    for text in ("=" * 8_000_000, " " * 8_000_000, "data:image/" * 700_000, "a;b=c;" * 1_000_000, "!" * 8_000_000):
        with pytest.raises(SourceError):
            decoded(text, max_bytes=5_000_000)
    assert time.monotonic() - began < 20
