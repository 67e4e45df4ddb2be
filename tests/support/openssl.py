"""The openssl command: certificates and keys that plait did not make, and its word on those it did."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["openssl", "self_signed"]


def openssl(*arguments: str | Path, check: bool = True) -> str:
    """Run openssl and give back everything it printed."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout
    return done.stdout


def self_signed(directory: Path, name: str, *, algorithm: str = "rsa:2048") -> tuple[Path, Path]:
    """Make a certificate for localhost as the documentation of many a server tells its users to.

    Args:
        directory: Where the files go.
        name: Their name, without the suffix.
        algorithm: The key, as ``openssl req -newkey`` takes it.

    Returns:
        The certificate's file and the key's.
    """
    cert, key = directory / f"{name}.pem", directory / f"{name}-key.pem"
    curve = ["-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "ec" else []
    openssl(
        *("req", "-x509", "-newkey", algorithm, *curve, "-nodes", "-days", "30", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert),
    )
    return cert, key
