from __future__ import annotations

import pytest

from humandetect.config.recording import RecordConfig
from humandetect.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("7d", 604_800), ("2w", 1_209_600), ("off", None)]
)
def test_times_to_keep_are_read_as_people_write_them(text: str, seconds: float | None) -> None:
    assert RecordConfig(keep=text).keep_seconds == seconds


@pytest.mark.parametrize(("text", "size"), [("50GB", 50 * 10**9), ("1.5 TiB", 3 * 2**39), ("off", None)])
def test_sizes_are_read_as_people_write_them(text: str, size: int | None) -> None:
    assert RecordConfig(max_size=text).max_bytes == size


@pytest.mark.parametrize(("text", "free"), [("5%", 50), ("12.5%", 125), ("2kB", 2000), ("off", 0)])
def test_what_stays_free_is_a_share_or_a_size(text: str, free: int) -> None:
    assert RecordConfig(min_free=text).min_free_bytes(1000) == free


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("keep", "7", "such as 12h, 7d or 4w"),
        ("keep", "0d", "such as"),
        ("keep", "seven days", "'seven days'"),
        ("max_size", "50", "such as 50GB"),
        ("max_size", "50 gigs", "units kB, MB, GB, TB"),
        ("min_free", "100%", "below 100%"),
        ("min_free", "little", "a share such as 5%"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_can(field: str, text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        RecordConfig(**{field: text})  # type: ignore[arg-type]
    assert f"--{field.replace('_', '-')} must be" in str(refused.value)
    assert words in str(refused.value)


def test_no_folder_is_no_recording() -> None:
    with pytest.raises(UsageError, match="--record DIR"):
        _ = RecordConfig().folder
