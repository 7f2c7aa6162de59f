"""TLS with servers that we connect to: whose certificates are trusted, and why there is none in words that help."""

from __future__ import annotations

import ssl

_OTHER_NAME = {62, 64}
"""OpenSSL's codes for a certificate of another host name or IP address."""


def tls_context() -> ssl.SSLContext:
    """Trust what the system and SSL_CERT_FILE do, and the public authorities where the system knows none."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def tls_trouble(error: BaseException, where: str, *, plain: str) -> str | None:
    """Say why there is no TLS with `where`, an address as it may be shown; None if the error is of another kind.

    `plain` is how an address without TLS begins.
    """
    tls = _tls_error(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        fix = (
            "give the name that it was made for"
            if tls.verify_code in _OTHER_NAME
            else "if it is your own, set SSL_CERT_FILE to it or to its authority's"
        )
        return f"the certificate of {where} is not trusted ({tls.verify_message}): {fix}"
    return None if tls is None else f"no TLS with {where} ({tls.reason or tls}): is it {plain} there?"


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Find the TLS error behind an error."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
