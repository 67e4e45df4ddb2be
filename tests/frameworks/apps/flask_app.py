"""The site in Flask, which is WSGI; the paths are those of every site of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import flask
from flask import Flask, Response, jsonify, request, session, stream_with_context

from tests.frameworks.apps.shared import (
    CONNECTION,
    FOLDER,
    LATIN,
    Digest,
    allowed,
    events,
    gathering,
    notes,
    pieces,
    signal,
)

__all__ = ["app"]

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

app = Flask(__name__, static_folder=FOLDER, static_url_path="/files")
app.secret_key = "a secret of the tests"
app.config["SESSION_COOKIE_SECURE"] = True


@app.route("/describe", methods=METHODS)
def describe() -> Response:
    """Tell what came."""
    fields = [(name.lower(), value) for name, value in request.headers.items()]
    return jsonify(
        method=request.method,
        path=request.script_root + request.path,
        scheme=request.scheme,
        host=request.host,
        query=list(request.args.items(multi=True)),
        headers={name: value for name, value in fields if name != CONNECTION},
        content=Digest.of(request.get_data()),
    )


@app.get("/items/<name>")
def item(name: str) -> Response:
    return jsonify(name=name, url=flask.url_for("slash", _external=True))


@app.get("/slash/")
def slash() -> str:
    return "slash"


@app.get("/fields")
def fields() -> Response:
    response = Response("fields", headers={"x-latin": LATIN})
    response.headers.add("x-twice", "one")
    response.headers.add("x-twice", "two")
    return response


@app.get("/cookies/set")
def set_cookies() -> Response:
    response = Response("cookies")
    for number in range(20):
        response.set_cookie(f"c{number}", str(number), httponly=True, secure=True)
    return response


@app.get("/cookies")
def cookies() -> Response:
    return jsonify(request.cookies)


@app.get("/json")
def get_json() -> Response:
    return jsonify(method="GET")


@app.post("/json")
def post_json() -> tuple[Response, int]:
    return jsonify(got=request.get_json()), 201


@app.post("/form")
def form() -> Response:
    return jsonify(list(request.form.items(multi=True)))


@app.post("/upload")
def upload() -> Response:
    file = request.files["file"]
    told = {"name": file.filename, "type": file.mimetype, **Digest.of(file.read())}
    return jsonify(title=request.form["title"], file=told)


@app.route("/digest", methods=["POST", "PUT"])
def digest() -> Response:
    told = Digest()
    while piece := request.stream.read(65_536):
        told.add(piece)
    return jsonify(told.result())


@app.get("/download")
def download() -> Response:
    return Response(pieces(int(request.args["size"])), mimetype="application/octet-stream")


@app.get("/events")
def server_sent() -> Response:
    @stream_with_context
    def stream() -> Iterator[bytes]:
        yield events(1)
        signal(request.args["name"]).wait(20)
        yield events(2)

    return Response(stream(), mimetype="text/event-stream")


@app.post("/go/<name>")
def go(name: str) -> tuple[str, int]:
    signal(name).set()
    return "", 204


@app.get("/notes/<name>")
def noted(name: str) -> Response:
    return jsonify(notes.of(name))


@app.get("/redirect")
def redirect() -> Response:
    return flask.redirect("/describe?redirected=yes", 303)


@app.get("/fail")
def fail() -> Response:
    raise ZeroDivisionError("as asked for, at once")


@app.get("/fail-late")
def fail_late() -> Response:
    def stream() -> Iterator[bytes]:
        yield from pieces(100_000)
        raise ZeroDivisionError("as asked for, late")

    return Response(stream())


@app.post("/background")
def background() -> Response:
    name = request.args["name"]

    def work() -> None:
        signal(name).wait(20)
        notes.add(name, "worked")

    response = Response("working")
    response.call_on_close(work)
    return response


@app.get("/endless")
def endless() -> Response:
    name = request.args["name"]

    def stream() -> Iterator[bytes]:
        try:
            while True:
                yield from pieces(100_000)
        finally:
            notes.add(name, "closed")

    return Response(stream())


@app.get("/file")
def file() -> Response:
    return flask.send_file(FOLDER / "large.bin", as_attachment=True, download_name="gr\xf6\xdfe.bin")


@app.get("/visit")
def visit() -> Response:
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(session["visits"])


@app.get("/private")
def private() -> tuple[str, int]:
    if request.authorization is None or not allowed(request.headers.get("authorization")):
        return "not for you", 401
    return f"for {request.authorization.username}", 200


@app.get("/empty")
def empty() -> tuple[str, int]:
    return "", 204


@app.get("/unchanged")
def unchanged() -> tuple[str, int, dict[str, str]]:
    return "", 304, {"etag": '"same"'}


@app.get("/text")
def text() -> Response:
    return Response("0123456789" * 1000, mimetype="text/plain")


@app.get("/together")
def together() -> Response:
    assert gathering(request.args["name"], int(request.args["count"])).wait()
    return jsonify(int(request.environ["REMOTE_PORT"]))
