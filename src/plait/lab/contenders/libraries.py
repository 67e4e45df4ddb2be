"""Other HTTP clients for Python, used as their documentation says to."""

from __future__ import annotations

import time
from heapq import heappop, heappush

from plait.lab.contenders.base import Contender, Load

__all__ = ["CONTENDERS"]


class Requests(Contender):
    """One ``requests.Session``, one request after the other."""

    name = "requests"
    label = "requests, 1 connection"
    http = "1"
    requires = ("requests",)

    def run(self, load: Load) -> None:
        import requests

        from plait.lab.wire import watch_urllib3

        sockets = watch_urllib3()
        with requests.Session() as session:
            # The environment may name proxies and authorities of its own; every contender must go
            # the same way.
            session.trust_env = False
            # plait.Client asks for no compression.
            session.headers["accept-encoding"] = "identity"
            session.headers.update(load.headers)
            known: list[int] = []
            load.begin()
            while load.graph.unfinished:
                for index in load.due():
                    heappush(known, index)
                if not known:
                    time.sleep(load.until_due or 0.0)
                    continue
                index = heappop(known)
                sent = time.monotonic()
                with session.get(
                    load.base_url + load.paths[index], verify=load.verify, allow_redirects=False, stream=True
                ) as response:
                    # As it was transferred: response.content would undo a content coding.
                    content = response.raw.read(decode_content=False)
                load.receive(index, response.status_code, content, sent=sent, done=time.monotonic())
            load.connections = len(sockets)
            load.bytes_sent, load.bytes_received = sockets.totals()


CONTENDERS: tuple[Contender, ...] = (Requests(),)
