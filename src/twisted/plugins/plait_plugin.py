"""What makes ``twist plait`` a command; the folders around it are Twisted's and must stay without more."""

from twisted.application.service import ServiceMaker

plait = ServiceMaker(
    "plait",
    "plait.integrations.twisted.tap",
    "A web server like web, for HTTP/2 and HTTP/1.1.",
    "plait",
)
