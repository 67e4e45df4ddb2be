"""The bookstore over HTTP/2, on Twisted: ``python bookstore.py``, with privkey.pem and cert.pem beside it."""

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource

from plait.bookstore.generate import bundled
from plait.integrations.twisted import Site  # from twisted.web.server import Site

books = bundled()


class Index(Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"application/json")
        return books.ids_json


class Book(Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"application/json")
        (id, *_) = request.args.get(b"id", [b""])
        book = books.get(int(id)) if id.isdigit() and len(id) < 16 else None
        if book is None:
            request.setResponseCode(404)
            return b'{"error": "no such book"}'
        return book.json


root = Resource()
root.putChild(b"", Index())
root.putChild(b"book", Book())
site = Site(root)
endpoints.serverFromString(reactor, "ssl:port=8080:privateKey=privkey.pem:certKey=cert.pem").listen(site)
reactor.run()
