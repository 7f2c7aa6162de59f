"""Where `watch` shows its page."""

from __future__ import annotations

import pytest

from humandetect.config.web import WebConfig
from humandetect.errors import UsageError


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("8080", ("127.0.0.1", 8080)),
        (":8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:8080", ("::1", 8080)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_a_port_alone_is_for_this_machine(told: str, address: tuple[str, int]) -> None:
    assert WebConfig(told).address == address


@pytest.mark.parametrize("told", ["", "door", "127.0.0.1", "127.0.0.1:", "host:65536", "host:-1", "host:²"])
def test_what_is_no_address_is_told_with_one_that_is(told: str) -> None:
    with pytest.raises(UsageError, match="such as 8080"):
        WebConfig(told)


def test_an_empty_key_is_no_key_and_no_key_is_shown() -> None:
    with pytest.raises(UsageError, match="the API key is empty"):
        WebConfig("8080", api_key=" ")
    assert "k3y" not in repr(WebConfig("8080", api_key="k3y"))
