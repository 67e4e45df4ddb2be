"""Hello over HTTP/2, on Twisted: ``python hello.py``, with privkey.pem and cert.pem beside it."""

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource

from plait.integrations.twisted import Site  # from twisted.web.server import Site


class Index(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"hello world (in HTTP2)"


site = Site(Index())
endpoints.serverFromString(reactor, "ssl:port=8080:privateKey=privkey.pem:certKey=cert.pem").listen(site)
reactor.run()
