"""Certificates of an authority that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import trustme


def issued(authority: trustme.CA, folder: Path, *, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write a certificate for a name and its key; return both."""
    certificate = authority.issue_cert(name)
    cert, key = folder / "cert.pem", folder / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    return cert, key
