"""The certificate that a server shows, tried before anything heavy is loaded."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from humandetect.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path


def check_certificate(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what shows a certificate, if there is one. Raises ServerError where it cannot be shown."""
    if cert is None or key is None:
        return None
    for option, path in (("--tls-cert", cert), ("--tls-key", key)):
        _check_readable(option, path)
    both = f"--tls-cert {cert} and --tls-key {key}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password of ours OpenSSL would ask the terminal for the one of an encrypted key.
        context.load_cert_chain(cert, key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ServerError(f"{both} do not belong together") from error
        raise ServerError(f"{both}: expected PEM files, the key not encrypted ({error.reason or error})") from error
    except OSError as error:  # they are replaced just now
        raise ServerError(f"cannot read {both}: {error.strerror}") from error
    return context


def _check_readable(option: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ServerError(f"cannot read {option} {path}: {error.strerror}") from error
