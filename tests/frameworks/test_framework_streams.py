"""What takes its time under frameworks: streams, clients that leave, work after the response, company."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.support.pairs import AUTHORITY, Message
from tests.support.serving import h1_client, h2_client
from tests.support.sites import Site, only, unique

LONG = 8_000_000


def events(*numbers: int) -> bytes:
    """Return what the sites send as server-sent events."""
    return b"".join(b"id: %d\ndata: event %d\n\n" % (number, number) for number in numbers)


def test_an_event_is_there_before_the_next_is_sent(site: Site, version: str) -> None:
    name = unique("events")
    with site.clients[version].stream("GET", f"/events?name={name}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = answer.iter_raw()
        assert next(pieces) == events(1)
        site.tell(version, name)
        assert b"".join(pieces) == events(2)


def test_a_response_that_breaks_off_never_looks_complete(site: Site, version: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        site.ask_over(version, "GET", "/fail-late")
    site.until_said("ZeroDivisionError: as asked for, late")
    assert site.ask("GET", "/text").status_code == 200


@only("starlette", "fastapi", "django", "flask")
def test_work_goes_on_after_the_response(site: Site, version: str) -> None:
    name = unique("background")
    answer = site.ask_over(version, "POST", f"/background?name={name}")
    assert answer.text.strip('"') == "working"
    assert site.notes(name) == []
    # Over HTTP/1.1 this comes on the same connection, which waits for no work.
    site.tell(version, name)
    site.until_noted(name, "worked")


async def leave(site: Site, version: str, path: str, name: str, when: str | None) -> None:
    """Ask, and leave when something has been noted, or else when content has come."""
    if version == "1.1":
        async with h1_client(site) as one:
            one.writer.write(b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (path.encode(), AUTHORITY))
            if when:
                await asyncio.to_thread(site.until_noted, name, when)
            else:
                await one.head()
                await one.reader.readexactly(100)
        return
    async with h2_client(site) as two:
        stream = two.request(b"GET", path.encode())
        if when:
            await asyncio.to_thread(site.until_noted, name, when)
        else:
            await two.until(lambda: two.messages[stream].content)
        two.engine.reset_stream(stream, 8)
        two.flush()
        # The connection goes on without that stream.
        assert (await two.response(two.request(b"GET", b"/text"))).status == 200


@only("starlette", "fastapi", "django")
async def test_an_application_sees_its_client_leave(site: Site, version: str) -> None:
    name = unique("watch")
    await leave(site, version, f"/watch?name={name}", name, "watching")
    await asyncio.to_thread(site.until_noted, name, "disconnected")


async def test_a_stream_is_closed_when_its_client_leaves(site: Site, version: str) -> None:
    name = unique("endless")
    await leave(site, version, f"/endless?name={name}", name, None)
    await asyncio.to_thread(site.until_noted, name, "closed")


async def test_a_slow_reader_gets_everything_and_holds_up_nobody(site: Site, version: str) -> None:
    path = b"/download?size=%d" % LONG
    wanted = (bytes(range(256)) * (LONG // 256 + 1))[:LONG]
    if version == "1.1":
        async with h1_client(site) as one:
            one.writer.write(b"GET %b HTTP/1.0\r\n\r\n" % path)
            await one.head()
            assert (await asyncio.to_thread(site.ask, "GET", "/text")).status_code == 200
            assert await one.rest() == wanted
        return
    async with h2_client(site) as two:
        two.credits = False
        stream = two.request(b"GET", path)
        message = two.messages[stream]
        await two.until(lambda: len(message.content) == 65_535)
        # The connection's own window is all that is in the way of others.
        two.engine.increment_flow_control_window(20_000)
        assert (await two.response(two.request(b"GET", b"/text"))).content == b"0123456789" * 1000
        assert len(message.content) == 65_535
        two.credits = True
        two.engine.increment_flow_control_window(1 << 24, stream)
        two.engine.increment_flow_control_window(1 << 24)
        two.flush()
        assert (await two.response(stream)).content == wanted


async def test_content_is_asked_for_with_100_continue(site: Site, version: str) -> None:
    expect = (b"expect", b"100-continue")
    if version == "1.1":
        async with h1_client(site) as one:
            head = b"POST /digest HTTP/1.1\r\nhost: %b\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
            one.writer.write(head % AUTHORITY)
            assert (await one.head()).startswith(b"HTTP/1.1 100 ")
            one.writer.write(b"12345")
            assert (await one.head()).startswith(b"HTTP/1.1 200 ")
            assert json.loads(await one.reader.readuntil(b"}"))["size"] == 5
        return
    async with h2_client(site) as two:
        length = (b"content-length", b"5")
        stream = two.request(b"POST", b"/digest", expect, length, end_stream=False)
        message = two.messages[stream]
        await two.until(lambda: message.interim)
        assert message.interim == [[(b":status", b"100")]]
        two.send(stream, b"12345", end_stream=True)
        assert json.loads((await two.response(stream)).content)["size"] == 5


async def test_a_hundred_requests_are_in_flight_on_one_connection(site: Site) -> None:
    name = unique("together").encode()
    async with h2_client(site) as client:
        path = b"/together?count=100&name=" + name
        streams = [client.request(b"GET", path) for _ in range(100)]
        answers = [await client.response(stream) for stream in streams]

    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1  # the client's port


async def interim_and_trailers(site: Site, version: str, path: bytes) -> tuple[list[Any], Message]:
    """Ask with ``te: trailers``, and return the interim responses and the response."""
    te = (b"te", b"trailers")
    if version == "2":
        async with h2_client(site) as two:
            message = await two.response(two.request(b"GET", path, te))
            return message.interim, message
    async with h1_client(site) as one:
        head = b"GET %b HTTP/1.1\r\nhost: %b\r\nte: trailers\r\nconnection: te, close\r\n\r\n"
        one.writer.write(head % (path, AUTHORITY))
        return read_message(await one.rest())


def read_message(received: bytes) -> tuple[list[Any], Message]:
    """Take interim responses, a response in chunks or with a length, and trailers apart."""
    interim = []
    while True:
        head, _, received = received.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        pairs = [tuple(field.split(b": ", 1)) for field in fields]
        status = (b":status", line.split(b" ")[1])
        if not status[1].startswith(b"1"):
            break
        interim.append([status, *pairs])
    message = Message(head=[status, *pairs], content=received, ended=True)
    if (b"transfer-encoding", b"chunked") in pairs:
        message.content = b""
        while (size := int((line_and_rest := received.partition(b"\r\n"))[0], 16)) > 0:
            message.content += line_and_rest[2][:size]
            received = line_and_rest[2][size + 2 :]
        trailers = line_and_rest[2].removesuffix(b"\r\n").split(b"\r\n")
        message.trailers = [tuple(field.split(b": ", 1)) for field in trailers if field]
    return interim, message


@only("starlette", "fastapi")
async def test_early_hints_come_before_the_response(site: Site, version: str) -> None:
    interim, message = await interim_and_trailers(site, version, b"/hints")

    assert interim == [[
        (b":status", b"103"),
        (b"link", b"</style.css>; rel=preload; as=style"),
        (b"link", b"</script.js>; rel=preload; as=script"),
    ]]  # fmt: skip
    assert (message.status, message.content) == (200, b"hinted")


@only("starlette", "fastapi")
async def test_trailers_follow_the_response(site: Site, version: str) -> None:
    _, message = await interim_and_trailers(site, version, b"/trailers")

    assert (message.status, message.content) == (200, b"content")
    assert message.trailers == [(b"x-checksum", b"abc")]


@only("starlette", "fastapi")
async def test_a_push_promised_by_the_framework_is_answered_by_it(site: Site) -> None:
    async with h2_client(site) as client:
        assert (await client.response(client.request(b"GET", b"/push"))).content == b"pushed"
        ((_, stream, promise),) = client.promises
        assert dict(promise)[b":path"] == b"/text"
        assert (await client.response(stream)).content == b"0123456789" * 1000


@only("starlette", "fastapi")
def test_files_are_left_to_the_server(site: Site, version: str) -> None:
    name = unique("file")
    answer = site.ask_over(version, "GET", "/file", headers={"x-messages": name})
    assert len(answer.content) == 400_000
    assert site.notes(name) == ["http.response.start", "http.response.pathsend"]
