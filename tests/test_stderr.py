"""Promises about what libraries write past Python."""

from __future__ import annotations

import logging
import os

import pytest

from humandetect.stderr import quiet


def test_words_on_stderr_go_to_the_debug_log(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "humandetect.stderr"), quiet("libnoise"):
        os.write(2, b"noise\n")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
    assert [record.getMessage() for record in caplog.records] == ["libnoise: noise"]


def test_an_error_gives_stderr_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="odd"), quiet("libnoise"):
        raise ValueError("odd")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_a_closed_stderr_stays_closed() -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        with quiet("libnoise"):
            pass
        closed = False
        try:
            os.fstat(2)
        except OSError:
            closed = True
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert closed


def test_a_full_disk_costs_only_the_words(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with quiet("libnoise"):
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""


def test_one_block_may_stand_inside_another(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet("outer"), quiet("inner"):
        os.write(2, b"chatter")
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
