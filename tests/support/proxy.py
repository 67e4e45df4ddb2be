"""A proxy for tests: CONNECT, requests with a whole URL, and SOCKS 5 with a password."""

from __future__ import annotations

import re
import socket
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["RunningProxy", "running_proxy"]

SECONDS = 20.0


class RunningProxy:
    """A proxy that listens.

    Attributes:
        port: Where.
        seen: The first line of what each client asked for; of a SOCKS client, where it wanted to go.
        credentials: What each client said who it is, or None.
        answer: What CONNECT is answered with instead of being done, if it is set.
    """

    def __init__(self, credentials: str | None) -> None:
        self._wanted = credentials
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.seen: list[str] = []
        self.credentials: list[str | None] = []
        self.answer: bytes | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(SECONDS)
            self._sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                first = sock.recv(1, socket.MSG_PEEK)
                target = self._socks(sock) if first == b"\x05" else self._http(sock)
                if target is not None:
                    with target:
                        _relay(sock, target)
            except OSError:
                pass

    def _http(self, sock: socket.socket) -> socket.socket | None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(65536)
            if not data:
                return None
            head += data
        line, _, rest = head.partition(b"\r\n")
        self.seen.append(line.decode())
        found = re.search(rb"(?i)proxy-authorization: Basic (\S+)\r\n", head)
        self.credentials.append(None if found is None else b64decode(found[1]).decode())
        if self._wanted not in (None, self.credentials[-1]):
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return None
        if self.answer is not None:
            sock.sendall(self.answer)
            return None
        method, target, _ = line.split(b" ")
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            connected = socket.create_connection((host.strip("[]"), int(port)), SECONDS)
            sock.sendall(
                b"HTTP/1.1 103 Early Hints\r\n\r\n"
                b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n"
            )
            return connected
        url = re.fullmatch(rb"http://([^/:]+):(\d+)(/.*)", target)
        assert url is not None, target
        connected = socket.create_connection((url[1].decode(), int(url[2])), SECONDS)
        rest = re.sub(rb"(?i)proxy-authorization: [^\r]*\r\n", b"", rest)
        connected.sendall(b"%b %b HTTP/1.1\r\n%b" % (method, url[3], rest))
        return connected

    def _socks(self, sock: socket.socket) -> socket.socket | None:
        _, count = sock.recv(2)
        methods = sock.recv(count)
        self.credentials.append(None)
        if self._wanted is not None:
            assert 2 in methods
            sock.sendall(b"\x05\x02")
            _, size = sock.recv(2)
            user = sock.recv(size).decode()
            password = sock.recv(sock.recv(1)[0]).decode()
            self.credentials[-1] = f"{user}:{password}"
            good = self.credentials[-1] == self._wanted
            sock.sendall(b"\x01" + bytes([not good]))
            if not good:
                return None
        else:
            sock.sendall(b"\x05\x00")
        _, _, _, kind = sock.recv(4)
        if kind == 3:
            host = sock.recv(sock.recv(1)[0]).decode()
        else:
            host = socket.inet_ntop(
                socket.AF_INET if kind == 1 else socket.AF_INET6, sock.recv(4 if kind == 1 else 16)
            )
        port = int.from_bytes(sock.recv(2), "big")
        self.seen.append(f"{host}:{port}")
        try:
            connected = socket.create_connection((host, port), SECONDS)
        except OSError:
            sock.sendall(b"\x05\x05\x00\x01" + bytes(6))
            return None
        sock.sendall(b"\x05\x00\x00\x01" + bytes(6))
        return connected

    def close(self) -> None:
        """Stop listening, and end every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            sock.close()


def _relay(one: socket.socket, other: socket.socket) -> None:
    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    thread = threading.Thread(target=pump, args=(other, one), daemon=True)
    thread.start()
    pump(one, other)
    thread.join(SECONDS)


@contextmanager
def running_proxy(credentials: str | None = None) -> Iterator[RunningProxy]:
    """Run a proxy.

    Args:
        credentials: ``"name:password"`` that it wants to hear, None for nothing.
    """
    proxy = RunningProxy(credentials)
    try:
        yield proxy
    finally:
        proxy.close()
