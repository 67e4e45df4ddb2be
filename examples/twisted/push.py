"""A page whose style sheet goes first: ``python push.py``, with privkey.pem and cert.pem beside it."""

from twisted.internet import endpoints, reactor, task
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data

from plait.integrations.twisted import Site


class Page(Resource):
    isLeaf = True

    def render_GET(self, request):
        if not request.push(b"/style.css"):  # browsers want none
            request.earlyHints([b"</style.css>; rel=preload; as=style"])
        made = task.deferLater(reactor, 0.1, lambda: b'<link rel="stylesheet" href="/style.css"><p>A page')
        made.addCallback(request.write).addCallback(lambda _: request.finish())
        return NOT_DONE_YET


root = Resource()
root.putChild(b"", Page())
root.putChild(b"style.css", Data(b"p { color: teal }", "text/css"))
site = Site(root)
endpoints.serverFromString(reactor, "ssl:port=8080:privateKey=privkey.pem:certKey=cert.pem").listen(site)
reactor.run()
