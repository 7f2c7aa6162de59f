"""One connection to TensorFlow Serving: how it is opened, and one call over it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from humandetect.engines.tfserving.failures import CallFailed
from humandetect.errors import Closed, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.config import ServingConfig

logger = logging.getLogger(__name__)

FIRST_RECONNECT_MS, LONGEST_RECONNECT_MS = 100, 2000
MIN_RESOLVE_MS = 5000
"""How often a DNS name may be asked for the servers behind it while some of them are away."""


class ServingChannel:
    """One target: its channel, and what is known of it. Fields are guarded by the condition of `Servers`."""

    def __init__(self, target: str, channel: Any, token: str | None) -> None:
        self.target = target
        self.under_way = 0
        self.turn = 0
        self.failures = 0
        self.away = self.hopeless = False
        self.reason = ""
        self.ask_at = 0.0
        self.left_at: float | None = None
        self._channel = channel
        self._methods: dict[str, Any] = {}
        self._token = token
        self._metadata = (("authorization", f"Bearer {token}"),) if token else None

    def send(self, method: str, request: bytes, timeout_seconds: float) -> bytes:
        """Make one call; raises CallFailed."""
        import grpc

        try:
            if method not in self._methods:
                self._methods[method] = self._channel.unary_unary(method)
            answer: bytes = self._methods[method](request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            details = str(error.details() or "")
            if self._token:  # some proxies repeat what they refuse
                details = details.replace(self._token, "***")
            raise CallFailed(self.target, error.code().name, details) from None
        except ValueError:  # what gRPC raises on a channel that was closed meanwhile
            raise closed() from None
        return answer

    def close(self) -> None:
        self._channel.close()


def open_servers(config: ServingConfig) -> list[ServingChannel]:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C++ part repeats on stderr what the errors say
    import grpc

    credentials = None
    if config.secure:
        credentials = grpc.ssl_channel_credentials(_read(config.ca), _read(config.key), _read(config.cert))
    elif config.token and any(not _is_local(target) for target in config.targets):
        logger.warning("the token travels unencrypted: use --serving-tls")
    servers = []
    for target in config.targets:
        options = channel_options(config, target)
        channel = (
            grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
        )
        servers.append(ServingChannel(target, channel, config.token))
    return servers


def channel_options(config: ServingConfig, target: str) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", FIRST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", LONGEST_RECONNECT_MS),
        ("grpc.dns_min_time_between_resolutions_ms", MIN_RESOLVE_MS),
        ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ]
    if _is_local(target):
        options.append(("grpc.enable_http_proxy", 0))
    if config.server_name:
        options += [
            ("grpc.ssl_target_name_override", config.server_name),
            ("grpc.default_authority", config.server_name),
        ]
    return options


def _is_local(target: str) -> bool:
    return target.startswith(("unix:", "localhost:", "127.", "[::1]"))


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if b"-----BEGIN " not in content:
        raise UsageError(f"{str(path)!r} is no PEM file: expected a certificate or key that starts with -----BEGIN")
    return content


def closed() -> Closed:
    """Return the error for work that comes after the end."""
    return Closed("the tf-serving engine is closed")
