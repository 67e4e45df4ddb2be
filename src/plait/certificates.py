"""The development certificate: a local authority, and a certificate for this machine issued by it.

Clients trust a certificate when they trust its issuer. So the authority is made once and trusted
once, while the certificates it issues come and go: one is replaced when it nears its end or when a
name is missing from it.

A record beside the files says what was issued until when, with their SHA-256. It lets a server
start without importing a cryptography library (some 100 ms), and it tells files made here from files
that are somebody else's, which are never written over.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plait.errors import ConfigError

if TYPE_CHECKING:
    import trustme

__all__ = ["CertificatePaths", "Change", "curl_line", "default_directory", "ensure", "identity"]

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
CERTIFICATE_LIFETIME = timedelta(days=397)  # the most that browsers take from any authority
AUTHORITY_LIFETIME = timedelta(days=3650)
RENEWAL_MARGIN = timedelta(days=30)
CLOCK_SKEW = timedelta(days=1)

_RECORD = "issued.json"
_FILES = ("ca.pem", "ca-key.pem", "cert.pem", "key.pem")
_PRIVATE = {"ca-key.pem", "key.pem"}


class Change(Enum):
    """What :func:`ensure` did."""

    NOTHING = "nothing"
    CREATED = "created"
    CERTIFICATE_RENEWED = "certificate renewed"
    AUTHORITY_RENEWED = "authority renewed"
    """Whoever trusted the authority before has to trust the new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePaths:
    """Where the four files are, all PEM.

    Attributes:
        ca: The authority's certificate: what a client is told to trust.
        ca_key: The authority's private key.
        cert: The certificate a server presents.
        key: Its private key.
        authority: The name of the authority, as trust stores list it.
        names: The host names and addresses the certificate is for.
        not_after: When the certificate ends.
        change: What was done to the files just now.
    """

    ca: Path
    ca_key: Path
    cert: Path
    key: Path
    authority: str
    names: tuple[str, ...]
    not_after: datetime
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What was issued: the content of the record file.

    Attributes:
        authority: The authority's name.
        names: The names in the certificate.
        not_after: When the certificate ends.
        ca_not_after: When the authority ends.
        sha256: Of each file, by its name.
        replaced: SHA-256 of the files that these took the place of. A process killed half way
            leaves some of them behind, and they must be known as ours.
    """

    authority: str
    names: tuple[str, ...]
    not_after: datetime
    ca_not_after: datetime
    sha256: dict[str, str]
    replaced: tuple[str, ...]

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, default=datetime.isoformat).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> _Record | None:
        """Read a record; anything that is not one counts as none."""
        try:
            fields: dict[str, Any] = json.loads(data)
            return cls(
                authority=str(fields["authority"]),
                names=tuple(map(str, fields["names"])),
                not_after=datetime.fromisoformat(fields["not_after"]).astimezone(UTC),
                ca_not_after=datetime.fromisoformat(fields["ca_not_after"]).astimezone(UTC),
                sha256={name: str(fields["sha256"][name]) for name in _FILES},
                replaced=tuple(map(str, fields["replaced"])),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None


def default_directory() -> Path:
    """Say where the certificate of this user is kept."""
    import platformdirs  # 15 ms, and not needed by a server that is given a certificate

    return platformdirs.user_data_path("plait")


def ensure(
    directory: str | os.PathLike[str] | None = None,
    names: Iterable[str] = (),
    *,
    force: bool = False,
    now: datetime | None = None,
) -> CertificatePaths:
    """See to it that a certificate for this machine is there and good for another month.

    The authority and the certificate are made when there are none. The certificate is issued anew,
    by the same authority, when it nears its end or lacks a name; the authority is made anew when it
    nears its own end, or when its key is needed and gone. Two processes may call this at once.

    Args:
        directory: Where the files are kept; by default in the user's data directory. It is
            created, for its user only, when it is missing.
        names: Host names and IP addresses the certificate is needed for, beside those of this
            machine (localhost, 127.0.0.1, ::1) and those it already has.
        force: Start over with a new authority, writing over whatever files are there.
        now: The time to judge by, with a time zone; by default the clock's.

    Raises:
        ConfigError: A name is not one, the directory cannot be used, or files are in the way that
            were not made here.
    """
    where = default_directory() if directory is None else Path(directory).absolute()
    wanted = dict.fromkeys([*LOCAL_NAMES, *map(identity, names)])
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    try:
        if not force and (usable := _usable(where, wanted, now)):
            return usable
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(where):
            # Another process may have issued what is needed while this one waited.
            if not force and (usable := _usable(where, wanted, now)):
                return usable
            record = _read_record(where)
            if force:
                return _issue(
                    where, record, Change.AUTHORITY_RENEWED if record else Change.CREATED, wanted, now
                )
            _refuse_foreign(where, record)
            if record is None:
                return _issue(where, None, Change.CREATED, wanted, now)
            names = dict.fromkeys([*wanted, *record.names])
            return _issue(where, record, _due(where, record, wanted, now), names, now)
    except FileExistsError as error:
        raise ConfigError(f"{where} is not a directory, so no certificate can be kept there") from error
    except OSError as error:
        raise ConfigError(
            f"cannot keep a certificate: {error.filename or where}: {error.strerror or error}"
        ) from error


def identity(name: str) -> str:
    """Bring a host name or an IP address to the form it has in a certificate.

    Args:
        name: A host name, which may be international and may begin with ``*.``, or an IP address.

    Raises:
        ConfigError: It is neither.
    """
    try:
        return str(ipaddress.ip_address(name)) if "%" not in name else _refuse(name)
    except ValueError:
        pass
    if name == "localhost":
        return name
    import idna  # slow to import, and rarely needed

    star, host = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    try:
        # The dot that ends a complete name is none of it in a certificate.
        host = idna.encode(host, uts46=True).decode("ascii").removesuffix(".")
    except UnicodeError:  # which idna.IDNAError is
        _refuse(name)
    # A last label of digits makes a host an IPv4 address to every URL parser, and this one is none.
    if re.search(r"(^|\.)\d+$", host):
        _refuse(name)
    return star + host


def curl_line(paths: CertificatePaths, host: str, port: int) -> str:
    """Write the command that fetches ``/`` from a server with this certificate.

    Args:
        paths: The certificate's files.
        host: The address the server listens on.
        port: The port it listens on.
    """
    if host in ("", "0.0.0.0", "::", "127.0.0.1"):
        host = "localhost"
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return shlex.join(["curl", "--cacert", str(paths.ca), f"https://{authority}/"])


def _refuse(name: str) -> str:
    raise ConfigError(f"{name!r} is neither a host name nor an IP address")


def _paths(where: Path, record: _Record, change: Change) -> CertificatePaths:
    ca, ca_key, cert, key = (where / name for name in _FILES)
    return CertificatePaths(
        ca=ca,
        ca_key=ca_key,
        cert=cert,
        key=key,
        authority=record.authority,
        names=record.names,
        not_after=record.not_after,
        change=change,
    )


def _usable(where: Path, wanted: Iterable[str], now: datetime) -> CertificatePaths | None:
    record = _read_record(where)
    if record and _due(where, record, wanted, now) is Change.NOTHING:
        return _paths(where, record, Change.NOTHING)
    return None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_record(where: Path) -> _Record | None:
    data = _read(where / _RECORD)
    return None if data is None else _Record.from_json(data)


def _due(where: Path, record: _Record, wanted: Iterable[str], now: datetime) -> Change:
    """Say what has to be issued before a server can use the files."""

    def intact(*names: str) -> bool:
        return all(_sha256(_read(where / name)) == record.sha256.get(name) for name in names)

    if not intact("ca.pem") or record.ca_not_after - now < RENEWAL_MARGIN:
        return Change.AUTHORITY_RENEWED
    if (
        intact("cert.pem", "key.pem")
        and record.not_after - now >= RENEWAL_MARGIN
        and {*wanted} <= {*record.names}
    ):
        return Change.NOTHING
    return Change.CERTIFICATE_RENEWED if intact("ca-key.pem") else Change.AUTHORITY_RENEWED


def _sha256(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _refuse_foreign(where: Path, record: _Record | None) -> None:
    ours = {*record.sha256.values(), *record.replaced} if record else set()
    for name in _FILES:
        data = _read(where / name)
        if data is not None and _sha256(data) not in ours:
            raise ConfigError(
                f"{where / name} was not made by plait cert, or was changed since; "
                f"--force writes over it, --out chooses another directory"
            )


def _issue(
    where: Path, previous: _Record | None, change: Change, names: Iterable[str], now: datetime
) -> CertificatePaths:
    import trustme  # 100 ms with the cryptography library under it

    content: dict[str, bytes] = {}
    if previous and change is Change.CERTIFICATE_RENEWED:
        authority = trustme.CA.from_pem((where / "ca.pem").read_bytes(), (where / "ca-key.pem").read_bytes())
        name, ca_not_after = previous.authority, previous.ca_not_after
    else:
        # The name differs from one authority to the next, so that a trust store may hold several.
        name, ca_not_after = f"plait local authority {os.urandom(4).hex()}", now + AUTHORITY_LIFETIME
        authority = _make_authority(name, now - CLOCK_SKEW, ca_not_after)
        content["ca-key.pem"] = authority.private_key_pem.bytes()
        content["ca.pem"] = authority.cert_pem.bytes()
    not_before = now - CLOCK_SKEW
    not_after = min(not_before + CERTIFICATE_LIFETIME, ca_not_after)
    leaf = authority.issue_cert(
        *names,
        organization_name="plait",
        organization_unit_name="development certificate",
        not_before=not_before,
        not_after=not_after,
    )
    content["key.pem"] = leaf.private_key_pem.bytes()
    content["cert.pem"] = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    there = {file: _sha256(data) for file in _FILES if (data := _read(where / file)) is not None}
    record = _Record(
        authority=name,
        names=tuple(names),
        not_after=not_after,
        ca_not_after=ca_not_after,
        sha256=there | {file: _sha256(data) for file, data in content.items()},
        replaced=tuple(there.values()),
    )
    # The record goes first: whatever happens after it, every file is known as ours.
    _write(where / _RECORD, record.to_json(), 0o600)
    for file, data in content.items():
        _write(where / file, data, 0o600 if file in _PRIVATE else 0o644)
    return _paths(where, record, change)


def _make_authority(name: str, not_before: datetime, not_after: datetime) -> trustme.CA:
    """Make an authority that ends and has a common name, which trust stores list it by.

    Those of trustme last until the year 3000 and have none.
    """
    import trustme
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID

    endless = trustme.CA(path_length=0)
    template = x509.load_pem_x509_certificate(endless.cert_pem.bytes())
    pem = endless.private_key_pem.bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "plait"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(template.public_key())
        .serial_number(template.serial_number)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension in template.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    certificate = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return trustme.CA.from_pem(certificate.public_bytes(serialization.Encoding.PEM), pem)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Put a file in place whole, readable by nobody else at any moment unless ``mode`` says so."""
    import tempfile

    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def _locked(where: Path) -> Iterator[None]:
    """Keep other processes out; the kernel lets go of the lock when this one dies."""
    try:
        import fcntl
    except ImportError as error:
        raise ConfigError(
            "no certificate can be made on this platform: give one with --cert and --key"
        ) from error

    descriptor = os.open(where, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
