"""``plait cert``: make or renew the development certificate, and say how to trust it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from plait import certificates
from plait.certificates import Change

__all__ = ["command", "trust_help"]

_DONE = {
    Change.NOTHING: "Everything is there already.",
    Change.CREATED: "Made a local authority and a certificate.",
    Change.CERTIFICATE_RENEWED: "Made a new certificate, by the authority that was there.",
    Change.AUTHORITY_RENEWED: "Made a new local authority and a certificate. "
    "Trust in the one before does not carry over: trust this one instead.",
}


@click.command("cert")
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where to keep the files, instead of the user's data directory.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Start over with a new authority, writing over whatever files are there.",
)
def command(names: tuple[str, ...], out: Path | None, force: bool) -> None:
    """Make a certificate for this machine, and the local authority that issues it.

    The certificate is for localhost, 127.0.0.1, ::1 and the NAMES given (host names or IP
    addresses). Both are made once; run again, the command adds names and renews what nears its end.
    """
    made = certificates.ensure(out, names, force=force)
    click.echo(
        f"{_DONE[made.change]}\n\n"
        f"authority    {made.ca}  (clients trust this one: {made.authority})\n"
        f"certificate  {made.cert}  (until {made.not_after:%Y-%m-%d})\n"
        f"key          {made.key}\n"
        f"names        {' '.join(made.names)}\n\n"
        f"How to trust it:\n\n{trust_help(made)}",
        nl=False,
    )


def trust_help(paths: certificates.CertificatePaths) -> str:
    """Explain how to make clients trust the authority, one client after the other."""
    ca = shlex.quote(str(paths.ca))
    name = shlex.quote(paths.authority)
    return f"""\
curl        {certificates.curl_line(paths, "localhost", 8443)}
requests    requests.get(url, verify={str(paths.ca)!r})
            or for a whole process: export REQUESTS_CA_BUNDLE={ca}
plait       plait.Client(url, verify={str(paths.ca)!r})
Chromium    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n {name} -i {ca}
            (Linux; certutil is in libnss3-tools or nss-tools; elsewhere it asks the system)
Debian      sudo install -m 644 {ca} /usr/local/share/ca-certificates/plait.crt && \
sudo update-ca-certificates
macOS       sudo security add-trusted-cert -d -r trustRoot \
-k /Library/Keychains/System.keychain {ca}
Windows     certutil -addstore -user -f Root {ca}
"""
