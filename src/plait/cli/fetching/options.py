"""What ``plait fetch`` can be told: each option is declared once, here, with curl's spelling and meaning."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import click

__all__ = ["Given", "Seconds", "fetch_options"]

_DAY = 86_400


class Seconds(click.ParamType[float]):
    """Seconds, up to a day of them; 0 stands for no limit."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= _DAY:  # which NaN is not either
            self.fail(f"{value!r} is no number of seconds from 0 to {_DAY}", param, ctx)
        return seconds


def _flag(*names: str, help: str, heading: str = "", default: Any = None, **click_says: Any) -> Any:
    """Declare an option: what it is called, and what else click is to know of it."""
    said = {"names": names, "heading": heading, "click": {"help": help, "default": default, **click_says}}
    return dataclasses.field(default=default, metadata=said)


def _switch(*names: str, help: str, heading: str = "") -> Any:
    return _flag(*names, help=help, heading=heading, default=False, is_flag=True)


def _several(*names: str, help: str, metavar: str, heading: str = "", **click_says: Any) -> Any:
    return _flag(*names, help=help, heading=heading, default=(), multiple=True, metavar=metavar, **click_says)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The options, as they were given; ``order`` has those whose order counts, with their values."""

    urls: tuple[str, ...]
    order: tuple[tuple[str, Any], ...]

    request: str | None = _flag(
        "-X", "--request", metavar="METHOD", help="Method, instead of the one that follows from the rest.",
        heading="Requests",
    )  # fmt: skip
    header: tuple[str, ...] = _several(
        "-H", "--header", metavar="LINE",
        help="Field to send: 'name: value', 'name;' for one without a value, 'name:' to leave one out; "
        "@FILE reads them from a file.",
    )  # fmt: skip
    data: tuple[str, ...] = _several(
        "-d", "--data", "--data-ascii", metavar="DATA",
        help="Content, sent by POST as a form; @FILE reads it from a file, without its line ends. Several "
        "are joined with &.",
    )  # fmt: skip
    data_raw: tuple[str, ...] = _several("--data-raw", metavar="DATA", help="The same, where @ is a letter.")
    data_binary: tuple[str, ...] = _several(
        "--data-binary", metavar="DATA", help="The same, where files are sent as they are."
    )
    data_urlencode: tuple[str, ...] = _several(
        "--data-urlencode", metavar="DATA",
        help="The same, percent-encoded: 'content', '=content', 'name=content', '@FILE', 'name@FILE'.",
    )  # fmt: skip
    json: tuple[str, ...] = _several(
        "--json", metavar="DATA", help="Content, sent by POST as JSON, and JSON is asked for; @FILE as above."
    )
    form: tuple[str, ...] = _several(
        "-F", "--form", metavar="NAME=CONTENT",
        help="Part of a multipart form: @FILE sends a file, <FILE its content; ';type=' and ';filename=' "
        "may follow.",
    )  # fmt: skip
    form_string: tuple[str, ...] = _several(
        "--form-string", metavar="NAME=TEXT", help="The same, where @, < and ; are letters."
    )
    upload_file: tuple[str, ...] = _several(
        "-T", "--upload-file", metavar="FILE", help="Send a file by PUT; '-' reads standard input meanwhile."
    )
    get: bool = _switch("-G", "--get", help="Put what -d says into the URL's query, and send GET.")
    head: bool = _switch("-I", "--head", help="Send HEAD, and show the fields of the response.")
    user_agent: str | None = _flag("-A", "--user-agent", metavar="NAME", help="Value of user-agent.")
    referer: str | None = _flag("-e", "--referer", metavar="URL", help="Value of referer.")
    range: str | None = _flag(
        "-r", "--range", metavar="RANGE", help="Ask for a part: 0-499, 500-, -500, or several with commas."
    )
    continue_at: str | None = _flag(
        "-C", "--continue-at", metavar="OFFSET",
        help="Go on with a download at this offset; '-' where its file ends.",
    )  # fmt: skip
    compressed: bool = _switch("--compressed", help="Ask for content codings, and undo them.")
    priority: str | None = _flag(
        "--priority", metavar="PRIORITY", help="How urgent the responses are (RFC 9218), such as 'u=1, i'."
    )

    user: str | None = _flag(
        "-u", "--user", metavar="NAME:PASSWORD", help="Who asks; without a password it is asked for.",
        heading="Who asks",
    )  # fmt: skip
    basic: bool = _switch("--basic", help="Say so by Basic authentication, which is the default.")
    digest: bool = _switch("--digest", help="Say so by Digest authentication.")
    oauth2_bearer: str | None = _flag("--oauth2-bearer", metavar="TOKEN", help="Send this bearer token.")
    netrc: bool = _switch("-n", "--netrc", help="Take name and password from ~/.netrc.")
    netrc_file: str | None = _flag("--netrc-file", metavar="FILE", help="Take them from this file.")
    cookie: tuple[str, ...] = _several(
        "-b", "--cookie", metavar="DATA|FILE",
        help="Send cookies, 'a=1; b=2'; or read them from a file, and send back what servers set.",
    )  # fmt: skip
    cookie_jar: str | None = _flag(
        "-c", "--cookie-jar", metavar="FILE", help="Write the cookies into this file at the end; '-' stdout."
    )

    location: bool = _switch("-L", "--location", help="Go where redirects lead.", heading="Responses")
    max_redirs: int = _flag(
        "--max-redirs", metavar="N", type=click.IntRange(min=-1), default=50,
        help="How many redirects to follow; -1 for any number.", show_default=True,
    )  # fmt: skip
    fail: bool = _switch(
        "-f", "--fail", help="Take a status of 400 or above for a failure, and write no content."
    )
    fail_with_body: bool = _switch("--fail-with-body", help="The same, but write the content.")
    include: bool = _switch("-i", "--include", help="Show the fields of the responses, too.")
    dump_header: str | None = _flag(
        "-D", "--dump-header", metavar="FILE", help="Write the fields into this file; '-' stdout."
    )
    output: tuple[str, ...] = _several(
        "-o", "--output", metavar="FILE",
        help="Write content here, one -o for each URL; '-' stdout; #1 in it stands for the URL's first "
        "glob, or the number of the line of --paths.",
    )  # fmt: skip
    remote_name: int = _flag(
        "-O", "--remote-name", count=True, default=0,
        help="Write content into a file named as the URL ends, one -O for each URL.",
    )  # fmt: skip
    remote_name_all: bool = _switch("--remote-name-all", help="-O for all URLs.")
    remote_header_name: bool = _switch(
        "-J", "--remote-header-name", help="With -O: the name that the server says; never a path."
    )
    output_dir: str | None = _flag("--output-dir", metavar="DIR", help="Where files go.")
    create_dirs: bool = _switch("--create-dirs", help="Make the directories that files go into.")
    no_clobber: bool = _switch("--no-clobber", help="Write over no file: add .1, .2 … to its name.")

    window: int = _flag(
        "--window", "--parallel-max", metavar="N", type=click.IntRange(1, 10_000), default=100,
        show_default=True, help="How many requests are under way at once.", heading="Many URLs",
    )  # fmt: skip
    parallel: bool = _switch("-Z", "--parallel", help="Fetch URLs at the same time, which is the default.")
    paths: str | None = _flag(
        "--paths", metavar="FILE",
        help="Fetch what each line of a file says, a URL or what continues URL; '-' stdin.",
    )  # fmt: skip
    path_as_is: bool = _switch("--path-as-is", help="Leave /./ and /../ in URLs as they are.")
    globoff: bool = _switch("-g", "--globoff", help="Take {a,b} and [1-9] in URLs as they are.")

    connect_timeout: float = _flag(
        "--connect-timeout", metavar="SECONDS", type=Seconds(), default=10.0, show_default=True,
        help="To connect: name, TCP and TLS.", heading="Time and trying again",
    )  # fmt: skip
    read_timeout: float = _flag(
        "--read-timeout", metavar="SECONDS", type=Seconds(), default=60.0, show_default=True,
        help="Of silence, after which a server is given up; 0 for any time.",
    )  # fmt: skip
    max_time: float = _flag(
        "-m", "--max-time", metavar="SECONDS", type=Seconds(), default=0.0,
        help="For each request and its response in all.",
    )  # fmt: skip
    retry: int = _flag(
        "--retry", metavar="N", type=click.IntRange(min=0), default=0,
        help="Try again so often after a timeout or 408, 429, 500, 502, 503, 504.",
    )  # fmt: skip
    retry_delay: float = _flag(
        "--retry-delay", metavar="SECONDS", type=Seconds(), default=0.0,
        help="Wait so long before; by default 1, doubled each time, or what retry-after says.",
    )  # fmt: skip
    retry_max_time: float = _flag(
        "--retry-max-time", metavar="SECONDS", type=Seconds(), default=0.0,
        help="Begin no further try after so long.",
    )  # fmt: skip
    retry_connrefused: bool = _switch("--retry-connrefused", help="Try again where nobody listens, too.")
    retry_all_errors: bool = _switch("--retry-all-errors", help="Try again after any failure.")

    http1: bool = _switch("--http1.1", help="Speak HTTP/1.1 only.", heading="Connections")
    http2: bool = _switch("--http2", help="Speak HTTP/2 where the server does, which is the default.")
    http2_prior_knowledge: bool = _switch(
        "--http2-prior-knowledge", help="Speak HTTP/2 only, without TLS, too."
    )
    ipv4: bool = _switch("-4", "--ipv4", help="Connect to IPv4 addresses only.")
    ipv6: bool = _switch("-6", "--ipv6", help="Connect to IPv6 addresses only.")
    interface: str | None = _flag(
        "--interface", metavar="ADDRESS", help="Address of this machine that connections come from."
    )
    resolve: tuple[str, ...] = _several(
        "--resolve", metavar="HOST:PORT:ADDRESS", help="Find HOST:PORT at this address; HOST may be '*'."
    )
    connect_to: tuple[str, ...] = _several(
        "--connect-to", metavar="HOST:PORT:HOST:PORT",
        help="Connect to the second host and port where the first are asked for; what is left out is any, "
        "or the same.",
    )  # fmt: skip
    insecure: bool = _switch("-k", "--insecure", help="Take any certificate.")
    cacert: str | None = _flag("--cacert", metavar="FILE", help="Certificate authorities to trust, PEM.")
    cert: str | None = _flag(
        "-E", "--cert", metavar="FILE[:PASSPHRASE]", help="The client's own certificate, PEM."
    )
    key: str | None = _flag("--key", metavar="FILE", help="Its private key, PEM.")
    passphrase: str | None = _flag("--pass", metavar="PASSPHRASE", help="The passphrase of that.")
    proxy: str | None = _flag(
        "-x", "--proxy", metavar="URL", help="Proxy to go through: http://HOST:PORT or socks5://HOST:PORT."
    )
    proxy_user: str | None = _flag("-U", "--proxy-user", metavar="NAME:PASSWORD", help="Who asks it.")
    noproxy: str | None = _flag(
        "--noproxy", metavar="HOSTS", help="Hosts, with commas, to go to without one; '*' for all."
    )

    silent: bool = _switch(
        "-s", "--silent", help="Show no progress, and say nothing of what goes wrong.", heading="What is said"
    )
    show_error: bool = _switch("-S", "--show-error", help="With -s: say what goes wrong.")
    verbose: int = _flag(
        "-v", "--verbose", count=True, default=0,
        help="Show what is sent and received, frame by frame; -vv shows credentials and cookies, too.",
    )  # fmt: skip
    write_out: str | None = _flag(
        "-w", "--write-out", metavar="FORMAT", help="Write this after each response: %{http_code} and so on."
    )
    timing: bool = _switch("--timing", help="Draw at the end what the time of each response went into.")
    har: str | None = _flag(
        "--har", metavar="FILE", help="Keep everything but content in this file, an HTTP Archive."
    )
    stats: bool = _switch("--stats", help="Tell at the end what each connection did.")


def fetch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for one in reversed(dataclasses.fields(Given)):
        if "names" in one.metadata:
            command = click.option(*one.metadata["names"], one.name, **one.metadata["click"])(command)
    return command
