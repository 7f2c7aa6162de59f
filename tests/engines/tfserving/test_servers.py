"""Connections to TensorFlow Serving: addresses, TLS, tokens, and what they cost before anything is sent."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from humandetect.config import ServingConfig
from humandetect.engines.tfserving.channel import channel_options
from humandetect.engines.tfserving.servers import LAST_BACKOFF_SECONDS, Servers, _backoff
from humandetect.errors import Closed, EngineUnavailable, UsageError
from tests.command_line import invoke
from tests.engines.tfserving.fake_server import LOADING, FakeServing, Refusal, engine_for, pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "s3cret-t0ken"  # noqa: S105


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[FakeServing]:
    with FakeServing(credentials=credentials(authority, "127.0.0.1")) as server:
        yield server


def credentials(authority: trustme.CA, name: str, *, asks_clients: bool = False) -> Any:
    certificate = authority.issue_cert(name)
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    roots = authority.cert_pem.bytes() if asks_clients else None
    return grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)], roots, asks_clients)


def test_tls_with_an_authority_of_ones_own(secure: FakeServing, ca: Path) -> None:
    engine = engine_for(secure, ca=ca)
    assert len(engine.infer(pictures(1)).scores) == 1
    engine.close()


def test_a_certificate_for_another_name_needs_that_name(authority: trustme.CA, ca: Path) -> None:
    with FakeServing(credentials=credentials(authority, "models.example")) as server:
        with pytest.raises(EngineUnavailable, match=r"its certificate has another name; .*--serving-server-name"):
            engine_for(server, ca=ca)
        engine_for(server, ca=ca, server_name="models.example").close()


def test_a_server_may_ask_who_the_client_is(authority: trustme.CA, ca: Path, tmp_path: Path) -> None:
    mine = authority.issue_cert("client.example")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    mine.cert_chain_pems[0].write_to_path(str(cert))
    mine.private_key_pem.write_to_path(str(key))
    with FakeServing(credentials=credentials(authority, "127.0.0.1", asks_clients=True)) as server:
        with pytest.raises(EngineUnavailable, match="--serving-cert if it asks who you are"):
            engine_for(server, ca=ca, timeout_seconds=0.5)
        engine_for(server, ca=ca, cert=cert, key=key).close()


def test_what_does_not_fit_is_told_at_once(secure: FakeServing, ca: Path) -> None:
    began = time.monotonic()
    with pytest.raises(EngineUnavailable, match=r"its certificate is not trusted, or expired; .*--serving-ca"):
        engine_for(secure, tls=True, timeout_seconds=60)
    with FakeServing() as plain, pytest.raises(EngineUnavailable, match="does not speak TLS; leave out --serving-tls"):
        engine_for(plain, ca=ca, timeout_seconds=60)
    assert time.monotonic() - began < 30


def test_a_server_that_wants_tls_is_told_from_an_absent_one(secure: FakeServing) -> None:
    with pytest.raises(EngineUnavailable, match="it hung up; where it wants TLS, add --serving-tls"):
        engine_for(secure, timeout_seconds=0.5)


def test_nothing_but_the_error_is_said(secure: FakeServing) -> None:
    """gRPC's C++ part has words of its own for a failed handshake."""
    command = [sys.executable, "-m", "humandetect", "detect", "sample", "--results", "-", "--serving-tls", "--serving"]
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    ended = subprocess.run([*command, secure.target], capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("error: no TensorFlow Serving is ready")


@pytest.mark.parametrize("option", ["ca", "cert"])
def test_files_for_tls_are_read_before_anything_is_sent(option: str, tmp_path: Path) -> None:
    missing, text = tmp_path / "none.pem", tmp_path / "text.pem"
    text.write_text("hello")
    for path, message in ((missing, "cannot read .*none.pem"), (text, "text.pem' is no PEM file")):
        options = {"ca": path} if option == "ca" else {"cert": path, "key": path}
        with pytest.raises(UsageError, match=message):
            engine_for("127.0.0.1:1", **options)


def test_the_token_travels_with_every_call() -> None:
    with FakeServing() as server:
        engine_for(server, token=TOKEN).close()
        assert set(server.tokens) == {f"Bearer {TOKEN}"}
        server.tokens.clear()
        engine_for(server).close()
        assert set(server.tokens) == {None}


def test_the_token_is_never_repeated(caplog: Any) -> None:
    def fault() -> None:
        raise Refusal("UNAUTHENTICATED", f"unknown token Bearer {TOKEN}")

    with caplog.at_level(logging.DEBUG), FakeServing(fault=fault) as server:
        with pytest.raises(EngineUnavailable, match=r"unknown token Bearer \*\*\*.*--serving-token") as raised:
            engine_for(server, token=TOKEN)
        causes = [raised.value, raised.value.__cause__, raised.value.__context__]
        assert TOKEN not in "".join(map(repr, causes)) + caplog.text
    assert TOKEN not in repr(ServingConfig(token=TOKEN))


def test_a_token_without_tls_to_another_machine_is_warned_about(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(EngineUnavailable):
        engine_for("192.0.2.1:8500", token=TOKEN, timeout_seconds=0.2)
    assert "the token travels unencrypted" in caplog.text


def test_local_servers_are_not_looked_for_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with FakeServing() as server:
        engine_for(server).close()
    assert ("grpc.enable_http_proxy", 0) not in channel_options(ServingConfig(), "models.example:8500")


@pytest.mark.parametrize(
    "target",
    ["a:1", "127.0.0.1:8500", "[::1]:8500", "[fe80::1%eth0]:8500", "dns:///models.default.svc:8500", "unix:/run/s",
     "unix:///run/s", "unix:relative", "my_host-1.example:65535"],
)  # fmt: skip
def test_addresses_that_grpc_understands_are_taken(target: str) -> None:
    assert ServingConfig((target,)).targets == (target,)


@pytest.mark.parametrize(
    "target",
    ["", "host", ":8500", "host:", "host:0", "host:65536", "host:8500x", "http://host:8500", "grpc://host:8500",
     "host:8500/v1", "dns:///host", "dns:host:1", "ipv4:1.2.3.4:5", "unix:", "unix://", "::1:8500", "ho st:1",
     "host:٣"],
)  # fmt: skip
def test_other_addresses_are_refused_with_what_was_expected(target: str) -> None:
    with pytest.raises(UsageError, match="expected HOST:PORT of the gRPC port"):
        ServingConfig((target,))


@settings(max_examples=30)
@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_usage_error(target: str) -> None:
    try:
        ServingConfig((target,))
    except UsageError:
        return
    assert target.startswith("unix:") or 1 <= int(target.rpartition(":")[2]) <= 65535


def test_passwords_in_an_address_are_not_repeated() -> None:
    with pytest.raises(UsageError, match="no user or password in it") as raised:
        ServingConfig((f"me:{TOKEN}@host:8500",))
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {"version": 1, "label": "stable"},
        {"version": -1},
        {"timeout_seconds": 0},
        {"patience_seconds": 4000},
        {"parallel": 0},
        {"cert": Path("c.pem")},
        {"key": Path("k.pem")},
        {"token": ""},
        {"token": "a\nb"},
        {"targets": "host:8500"},
    ],
)
def test_options_that_contradict_themselves_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ServingConfig(**options)


def test_the_command_line_refuses_a_wrong_address_with_exit_code_2() -> None:
    ended = invoke("detect", "sample", "--serving", "http://me:pw@host:8500")
    assert ended.returncode == 2
    assert "pw" not in ended.stderr


def test_waits_grow_and_differ_but_stay_short() -> None:
    waits = [[_backoff(failures) for _ in range(20)] for failures in range(30)]
    assert all(len(set(same)) > 1 for same in waits)
    assert max(map(max, waits)) <= LAST_BACKOFF_SECONDS
    assert max(waits[0]) < min(waits[4])
    assert min(map(min, waits[10:])) >= LAST_BACKOFF_SECONDS / 2


def test_closing_ends_a_start_that_waits() -> None:
    """Ctrl-C closes what it can; here another thread does."""
    with FakeServing() as fake:
        fake.state = LOADING
        servers = Servers(
            ServingConfig((fake.target,)), ("/tensorflow.serving.ModelService/GetModelStatus", b"", lambda _: "loading")
        )
        threading.Timer(0.2, servers.close).start()
        with pytest.raises(Closed):
            servers.wait_until_ready()
        servers.close()
