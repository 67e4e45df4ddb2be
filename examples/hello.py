"""The smallest application: ``plait serve hello:app`` from this directory."""


async def app(scope, receive, send):
    """Greet, and say in which version of HTTP."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    content = f"Hello over HTTP/{scope['http_version']}\n".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": content})
