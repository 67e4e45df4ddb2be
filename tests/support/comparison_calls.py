"""The calls that sites are compared by, and the files some of them ask for."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from tests.support.comparison_client import Call, Caller, Outcome, Then
from tests.support.raw_client import Field

__all__ = ["CALLS", "SEQUENCES", "make_files"]

HALF_MEGABYTE = bytes(range(256)) * 2048
FORM = (b"content-type", b"application/x-www-form-urlencoded")
#: When the files were last changed, in seconds since 1970, and in the words of HTTP.
_CHANGED = 1_000_000_000
CHANGED = b"Sun, 09 Sep 2001 01:46:40 GMT"
EARLIER = b"Sat, 08 Sep 2001 01:46:40 GMT"


def make_files(directory: Path) -> Path:
    """Fill a directory with files, all of one time."""
    (directory / "folder").mkdir()
    (directory / "indexed").mkdir()
    for name, content in {
        "text.txt": b"some text\n",
        "page.html": b"<p>a page</p>",
        "packed.tar.gz": b"\x1f\x8b packed",
        "empty": b"",
        "large.bin": HALF_MEGABYTE,
        "with space.txt": b"spaced",
        "folder/one.txt": b"one",
        "folder/<two>&.txt": b"two",
        "indexed/index.html": b"<p>the index</p>",
        "script.rpy": b"from twisted.web.static import Data\nresource = Data(b'from a script', '')\n",
        "broken.rpy": b"1 / 0\n",
        "script.cgi": b'#!/bin/sh\nprintf "Status: 202 Good\\r\\nX-Method: $REQUEST_METHOD\\r\\n\\r\\n"\n'
        b'printf "$SCRIPT_NAME $PATH_INFO $QUERY_STRING $CONTENT_LENGTH $SERVER_NAME $HTTP_X_TEST "\ncat\n',
    }.items():
        path = directory / name
        path.write_bytes(content)
        path.chmod(0o755 if name.endswith(".cgi") else 0o644)
    for path in directory.rglob("*"):
        os.utime(path, (_CHANGED, _CHANGED))
    return directory


def _multipart(*parts: bytes) -> tuple[tuple[Field, ...], bytes]:
    """Return fields and content of a form with files."""
    content = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return ((b"content-type", b"multipart/form-data; boundary=edge"),), content


def _basic(password: bytes) -> tuple[Field, ...]:
    return ((b"authorization", b"Basic " + base64.b64encode(b"me:" + password)),)


_PARTS, _FORM_CONTENT = _multipart(
    b'content-disposition: form-data; name="text"\r\n\r\nwords \xc3\xa9',
    b'content-disposition: form-data; name="file"; filename="a.bin"\r\n'
    b"content-type: application/octet-stream\r\n\r\n" + bytes(range(256)),
    b'content-disposition: form-data; name="text"\r\n\r\nmore',
)


def _file(path: bytes, *fields: Field, method: bytes = b"GET") -> Call:
    return Call(b"/files/" + path, method, fields)


def _ranges(value: bytes) -> Call:
    return _file(b"text.txt", (b"range", value))


#: By name, which says what is asked for.
CALLS: dict[str, Call] = {
    # -- what a request says of itself --
    "the root": Call(b"/"),
    "a request": Call(b"/seen?a=1&b=2&a=3", fields=((b"X-Test", b"yes"), (b"accept", b"*/*"))),
    "its transport": Call(b"/transport"),
    "a path below a leaf": Call(b"/seen/one/two%20three/"),
    "a path with //": Call(b"/seen//one//two"),
    "a path that begins with //": Call(b"//seen/one"),
    "a path with %2F and %00": Call(b"/seen/one%2Ftwo/%00/%zz%"),
    "a path with . and ..": Call(b"/seen/./one/../two"),
    "a path that is not ASCII": Call(b"/seen/%C3%A9"),
    "a path of 8,000 bytes": Call(b"/seen/" + b"p" * 8000),
    "a path of 20,000 bytes": Call(b"/seen/" + b"p" * 20_000),
    "a query without values": Call(b"/seen?a&b=&=c&&a=%20+&%41=%C3%A9"),
    "a query with ; and ?": Call(b"/seen?a=1;b=2?c=3"),
    "an empty query": Call(b"/seen?"),
    "an address instead of a path": Call(b"https://localhost/seen?a=1"),
    "a field twice": Call(b"/seen", fields=((b"X-Test", b"1"), (b"X-Test", b"2"), (b"x-other", b""))),
    "a field that is not ASCII": Call(b"/seen", fields=((b"X-Test", b"caf\xc3\xa9 \xff"),)),
    "a field of 10,000 bytes": Call(b"/seen", fields=((b"X-Test", b"v" * 10_000),)),
    "200 fields": Call(b"/seen", fields=tuple((b"x-%d" % n, b"v") for n in range(200))),
    "600 fields": Call(b"/status?code=200", fields=tuple((b"x-%d" % n, b"v") for n in range(600))),
    "cookies": Call(b"/seen", fields=((b"cookie", b"a=1; b=2;c; a=3"),)),
    "cookies in two fields": Call(b"/seen", fields=((b"cookie", b"a=1"), (b"cookie", b"b=2"))),
    "a user and a password": Call(b"/seen", fields=_basic(b"a:b")),
    "credentials that are none": Call(b"/seen", fields=((b"authorization", b"Basic ?"),)),
    "another host": Call(b"/seen", authority=b"other.example:81"),
    "a host of IPv6": Call(b"/seen", authority=b"[::1]:81"),
    "a method of one's own": Call(b"/seen", b"BREW"),
    "a method in small letters": Call(b"/seen", b"get"),
    "TE: trailers": Call(b"/seen", fields=((b"te", b"trailers"),)),
    "OPTIONS *": Call(b"*", b"OPTIONS"),
    "GET *": Call(b"*"),
    # -- how a resource is found --
    "children of children": Call(b"/node/one//two/"),
    "the node itself": Call(b"/node"),
    "a child that raises": Call(b"/node/one/raise/two"),
    "a child that is None": Call(b"/node/none"),
    "no such child": Call(b"/nowhere?a=<b>"),
    "an error page": Call(b"/error"),
    "a forbidden page": Call(b"/forbidden/below"),
    "a deferred resource": Call(b"/later"),
    "a deferred resource that fails": Call(b"/never"),
    "a virtual host": Call(b"/hosts/", authority=b"two.example"),
    "a virtual host with a port": Call(b"/hosts", authority=b"ONE.example:8443"),
    "no such virtual host": Call(b"/hosts", authority=b"three.example"),
    "a host from the path": Call(b"/vhost/http/outer.example:81/seen/a"),
    "a rewritten path": Call(b"/rewritten/seen/old/a"),
    # -- methods --
    "GET where there is GET": Call(b"/get"),
    "HEAD where there is GET": Call(b"/get", b"HEAD"),
    "HEAD where it is refused": Call(b"/no-head", b"HEAD"),
    "HEAD where it is refused, and GET is late": Call(b"/no-head?later=1", b"HEAD", notes=1),
    "POST where there is GET": Call(b"/get", b"POST", content=b"content"),
    "DELETE where there is GET": Call(b"/get", b"DELETE"),
    "OPTIONS where there is GET": Call(b"/get", b"OPTIONS"),
    "GET where there is POST": Call(b"/post?<b>"),
    "HEAD where there is POST": Call(b"/post", b"HEAD"),
    "PUT": Call(b"/post", b"PUT", content=b"content"),
    "PUT without content": Call(b"/post", b"PUT"),
    "a method nobody knows": Call(b"/get", b"BREW"),
    "HEAD of what writes in pieces": Call(b"/pieces", b"HEAD", notes=1),
    "HEAD of much": Call(b"/large", b"HEAD"),
    # -- statuses --
    "201": Call(b"/status?code=201&content=made"),
    "204 with content": Call(b"/status?code=204&content=none"),
    "304 with content": Call(b"/status?code=304&content=none"),
    "205 with content": Call(b"/status?code=205&content=none"),
    "404 with content": Call(b"/status?code=404&content=none"),
    "a status nobody knows": Call(b"/status?code=299&content=some"),
    "a phrase": Call(b"/status?code=200&phrase=Splendid"),
    "a phrase with a line break": Call(b"/status?code=200&phrase=a%0D%0Ax:%20y"),
    "status 101": Call(b"/status?code=101"),
    "status 99": Call(b"/status?code=99"),
    "status 1000": Call(b"/status?code=1000"),
    "status 600": Call(b"/status?code=600"),
    # -- responses --
    "pieces": Call(b"/pieces", notes=1),
    "all at once": Call(b"/at-once"),
    "much": Call(b"/large"),
    "nothing": Call(b"/empty"),
    "a deferred result": Call(b"/deferred"),
    "a deferred failure": Call(b"/deferred-failure"),
    "less than content-length": Call(b"/wrong-length?length=9"),
    "more than content-length": Call(b"/wrong-length?length=3"),
    "a content-length that is none": Call(b"/wrong-length?length=x"),
    "a push producer": Call(b"/push-producer?size=300000", notes=1),
    "a pull producer": Call(b"/pull-producer?size=300000"),
    "two producers": Call(b"/two-producers", notes=1),
    "finish and write after finish": Call(b"/twice", notes=2),
    "notifyFinish": Call(b"/notify", notes=1),
    # -- fields of responses --
    "fields": Call(b"/headers"),
    "cookies set": Call(b"/cookies"),
    "a value that is not ASCII": Call(b"/header?name=x-value&value=caf%C3%A9%20%FF"),
    "a value with a line break": Call(b"/header?name=x-value&value=a%0D%0Ax-more:%20b%0D%0A%0D%0Ac"),
    "a value with NUL": Call(b"/header?name=x-value&value=a%00b"),
    "a value with spaces around": Call(b"/header?name=x-value&value=%20a%20"),
    "a name with a space": Call(b"/header?name=x%20y&value=a"),
    "a name with a line break": Call(b"/header?name=x%0D%0Ay:%20z%0D%0Aw&value=a"),
    "a name with a colon": Call(b"/header?name=:status&value=500"),
    "connection from a resource": Call(b"/header?name=connection&value=keep-alive"),
    "keep-alive from a resource": Call(b"/header?name=keep-alive&value=timeout%3D5"),
    "upgrade from a resource": Call(b"/header?name=upgrade&value=h2c"),
    "te from a resource": Call(b"/header?name=te&value=gzip"),
    "a redirect": Call(b"/redirect?to=/elsewhere"),
    "a redirect with a line break": Call(b"/redirect?to=/a%0D%0Ax:%20y"),
    "the redirecting resource": Call(b"/moved"),
    "a redirect to the parent": Call(b"/parent", fields=()),
    "setHost": Call(b"/set-host?port=8000&ssl=0"),
    "setHost with TLS": Call(b"/set-host?port=443&ssl=1"),
    "the root's address": Call(b"/root-url"),
    # -- conditions --
    "validators": Call(b"/cached"),
    "If-None-Match": Call(b"/cached", fields=((b"if-none-match", b'"other", "tag"'),)),
    "If-None-Match, another": Call(b"/cached", fields=((b"if-none-match", b'"other"'),)),
    "If-Modified-Since": Call(b"/cached", fields=((b"if-modified-since", CHANGED),)),
    "If-Modified-Since, earlier": Call(b"/cached", fields=((b"if-modified-since", EARLIER),)),
    "If-Modified-Since, no date": Call(b"/cached", fields=((b"if-modified-since", b"yesterday"),)),
    "HEAD with If-None-Match": Call(b"/cached", b"HEAD", ((b"if-none-match", b'"tag"'),)),
    # -- files --
    "a file": _file(b"text.txt"),
    "HEAD of a file": _file(b"text.txt", method=b"HEAD"),
    "POST to a file": _file(b"text.txt", method=b"POST"),
    "a page": _file(b"page.html"),
    "a page by an ignored extension": _file(b"page"),
    "a packed file": _file(b"packed.tar.gz"),
    "an empty file": _file(b"empty"),
    "a large file": _file(b"large.bin"),
    "a name with a space in it": _file(b"with%20space.txt"),
    "no such file": _file(b"none.txt"),
    "a file below a file": _file(b"text.txt/below"),
    "a way out of the directory": _file(b"..%2F..%2Fetc%2Fpasswd"),
    "a file's name with NUL": _file(b"text.txt%00.html"),
    "a directory without its slash": _file(b"folder"),
    "a directory's list": _file(b"folder/"),
    "HEAD of a directory's list": _file(b"folder/", method=b"HEAD"),
    "a directory's index": _file(b"indexed/"),
    "a script": _file(b"script.rpy"),
    "a script that fails": _file(b"broken.rpy"),
    "a CGI script": _file(b"script.cgi/below?a=1", (b"x-test", b"yes")),
    "POST to a CGI script": Call(b"/files/script.cgi", b"POST", content=b"some content"),
    "a file since its change": _file(b"text.txt", (b"if-modified-since", CHANGED)),
    "a file since before": _file(b"text.txt", (b"if-modified-since", EARLIER)),
    "a range": _ranges(b"bytes=2-5"),
    "a range to the end": _ranges(b"bytes=5-"),
    "the last bytes": _ranges(b"bytes=-3"),
    "two ranges": _ranges(b"bytes=0-1,4-5"),
    "two ranges, one of them outside": _ranges(b"bytes=0-1,400-500"),
    "a range outside": _ranges(b"bytes=100-"),
    "a range backwards": _ranges(b"bytes=5-2"),
    "a range that is none": _ranges(b"lines=1-2"),
    "HEAD with a range": _file(b"text.txt", (b"range", b"bytes=2-5"), method=b"HEAD"),
    "a range of a large file": _file(b"large.bin", (b"range", b"bytes=100000-399999")),
    "two ranges of a large file": _file(b"large.bin", (b"range", b"bytes=0-99999,200000-299999")),
    "data": Call(b"/data"),
    "HEAD of data": Call(b"/data", b"HEAD"),
    # -- what wraps resources --
    "gzip": Call(b"/gzip", fields=((b"accept-encoding", b"gzip, br"),)),
    "gzip not taken": Call(b"/gzip", fields=((b"accept-encoding", b"br"),)),
    "HEAD with gzip": Call(b"/gzip", b"HEAD", ((b"accept-encoding", b"gzip"),)),
    "gzip of pieces": Call(b"/gzip-pieces", fields=((b"accept-encoding", b"gzip"),), notes=1),
    "WSGI": Call(b"/wsgi/a%20b/c?d=1", fields=((b"X-Test", b"1"), (b"X-Test", b"2"))),
    "WSGI with content": Call(b"/wsgi", b"POST", content=b"c" * 70_000),
    "WSGI with content of no told size": Call(b"/wsgi", b"POST", content=b"c" * 70_000, sized=False),
    "WSGI without content": Call(b"/wsgi/status"),
    "WSGI in pieces": Call(b"/wsgi/pieces"),
    "WSGI by write": Call(b"/wsgi/write"),
    "WSGI and HEAD": Call(b"/wsgi/write", b"HEAD"),
    "WSGI that raises": Call(b"/wsgi/raise"),
    "Basic without credentials": Call(b"/basic"),
    "Basic": Call(b"/basic/below", fields=_basic(b"secret")),
    "Basic with the wrong password": Call(b"/basic", fields=_basic(b"wrong")),
    "Basic with what is no base64": Call(b"/basic", fields=((b"authorization", b"Basic ???"),)),
    "Digest without credentials": Call(b"/digest"),
    "a reverse proxy": Call(b"/proxied/below?a=1", fields=((b"x-test", b"yes"),)),
    "POST through a reverse proxy": Call(b"/proxied", b"POST", content=b"some content"),
    "a status through a reverse proxy": Call(b"/proxied?code=404"),
    # -- content of requests --
    "content": Call(b"/seen", b"POST", content=b"some content"),
    "content of no told size": Call(b"/seen", b"POST", content=b"some content", sized=False),
    "content of GET": Call(b"/seen", content=b"some content"),
    "content of DELETE": Call(b"/seen", b"DELETE", content=b"some content", sized=False),
    "no content": Call(b"/seen", b"POST", content=b""),
    "no content of no told size": Call(b"/seen", b"POST", content=b"", sized=False),
    "neither content nor length": Call(b"/seen", b"POST"),
    "much content": Call(b"/seen", b"POST", content=HALF_MEGABYTE),
    "much content of no told size": Call(b"/seen", b"POST", content=HALF_MEGABYTE, sized=False),
    "content with trailers": Call(
        b"/seen", b"POST", content=b"some content", sized=False, trailers=((b"x-sum", b"7"),)
    ),
    "a form": Call(b"/seen?a=0", b"POST", (FORM,), b"a=1&b=%C3%A9+&c&a=2"),
    "a form of no told size": Call(b"/seen", b"POST", (FORM,), b"a=1", sized=False),
    "a form that is PUT": Call(b"/seen", b"PUT", (FORM,), b"a=1"),
    "a form with files": Call(b"/seen", b"POST", _PARTS, _FORM_CONTENT),
    "a form with files and no told size": Call(b"/seen", b"POST", _PARTS, _FORM_CONTENT, sized=False),
    "a form with files that breaks off": Call(b"/seen", b"POST", _PARTS, b"--edge\r\ncontent"),
    "a form with files and no boundary": Call(
        b"/seen", b"POST", ((b"content-type", b"multipart/form-data"),), b"--edge--"
    ),
    "Expect: 100-continue": Call(
        b"/seen", b"POST", ((b"expect", b"100-continue"),), b"some content", waits=True
    ),
    "Expect: 100-continue in capitals": Call(
        b"/seen", b"POST", ((b"expect", b"100-Continue"),), b"some content", waits=True
    ),
    "Expect: something else": Call(b"/seen", b"POST", ((b"expect", b"a miracle"),), b"some content"),
    "content seen as it comes": Call(
        b"/streamed-upload", b"POST", ((b"x-note", b"1"),), b"some content", notes=2
    ),
    "content of no told size seen as it comes": Call(
        b"/streamed-upload", b"POST", ((b"x-note", b"1"),), b"some content", sized=False, notes=2
    ),
    # -- mistakes of resources --
    "render raises": Call(b"/raise"),
    "render raises for HEAD": Call(b"/raise", b"HEAD"),
    "render raises after a write": Call(b"/raise-after-write"),
    "render returns str": Call(b"/return?what=str"),
    "render returns None": Call(b"/return?what=none"),
    "render returns int": Call(b"/return?what=int"),
    "render returns a list": Call(b"/return?what=list"),
    "write of str": Call(b"/write?what=str"),
    "write of None": Call(b"/write?what=none"),
    "write of int": Call(b"/write?what=int"),
    "write of a bytearray": Call(b"/write?what=bytearray"),
    # -- ends --
    "a client leaves before the response": Call(b"/leave?silent=1", then=Then.LEAVE_UNANSWERED, notes=4),
    "a client leaves a response": Call(b"/leave", then=Then.LEAVE, notes=4),
    "a client leaves a push producer": Call(b"/push-producer?size=100000000", then=Then.LEAVE, notes=1),
    "a client leaves a pull producer": Call(b"/pull-producer?size=100000000", then=Then.LEAVE, notes=1),
    "a client leaves its upload": Call(
        b"/seen", b"POST", ((b"x-note", b"1"),), b"some content", notes=2, then=Then.LEAVE_UPLOADING
    ),
    "a resource loses the connection": Call(b"/lose", notes=1),
    "a resource loses the connection before the response": Call(b"/lose?silent=1", notes=1),
    "a resource aborts the connection": Call(b"/lose?abort=1", notes=1),
    "a resource aborts the connection before the response": Call(b"/lose?abort=1&silent=1", notes=1),
}


def _session(call: Caller) -> list[Outcome]:
    """Come back with the cookie of a session, and with one that is none."""
    first = call(Call(b"/session"))
    cookie = dict(call.last.fields)[b"set-cookie"].partition(b";")[0]
    second = call(Call(b"/session", fields=((b"cookie", cookie),)))
    other = cookie.partition(b"=")[0] + b"=none"
    return [first, second, call(Call(b"/session", fields=((b"cookie", other),)))]


def _digest(call: Caller) -> list[Outcome]:
    """Answer a challenge with the right password, and with a wrong one."""
    outcomes = []
    for password in (b"secret", b"wrong"):
        outcomes.append(call(Call(b"/digest")))
        said = dict(call.last.fields)[b"www-authenticate"].removeprefix(b"digest ")
        asked = {
            name: value.strip(b'"') for name, _, value in (one.partition(b"=") for one in said.split(b", "))
        }
        user, path = (
            hashlib.md5(what).hexdigest().encode()
            for what in (b"me:a realm:" + password, b"GET:/digest/below")
        )
        proof = hashlib.md5(
            b":".join((user, asked[b"nonce"], b"00000001", b"mine", b"auth", path))
        ).hexdigest()
        value = (
            b'Digest username="me", realm="a realm", uri="/digest/below", qop=auth, nc=00000001, '
            b'cnonce="mine", nonce="%b", opaque="%b", response="%b"'
            % (asked[b"nonce"], asked[b"opaque"], proof.encode())
        )
        outcomes.append(call(Call(b"/digest/below", fields=((b"authorization", value),))))
    return outcomes


#: Calls that follow from one another.
SEQUENCES: dict[str, Callable[[Caller], list[Outcome]]] = {"a session": _session, "Digest": _digest}
