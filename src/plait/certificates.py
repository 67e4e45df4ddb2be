"""The development certificate: a local authority, and a certificate for this machine issued by it.

Browsers and clients trust a certificate when they trust its issuer. So the authority is made once
and trusted once, and the certificates it issues come and go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CertificatePaths", "ensure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePaths:
    """Where the four files are, all PEM.

    Attributes:
        ca: The authority's certificate: what a client is told to trust.
        ca_key: The authority's private key.
        cert: The certificate a server presents.
        key: Its private key.
    """

    ca: Path
    ca_key: Path
    cert: Path
    key: Path


def ensure(directory: str | os.PathLike[str] | None = None, names: Iterable[str] = ()) -> CertificatePaths:
    raise NotImplementedError
