"""A page that offers a browser choices, and what belongs to it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["FETCHED", "PAGE", "app"]

FETCHED = {
    "/", "/alternative.css", "/late.css", "/main.css", "/nested/deep.css", "/print.css", "/inline.css",
    "/module.js", "/plain.js", "/ahead.js", "/preloaded.js",
    "/nested/face.woff2", "/latin.woff2", "/ahead.woff2",
    "/1x.png", "/best.webp", "/fallback.png", "/width-800.png", "/button.png", "/poster.png",
    "/attribute.png", "/nested/background.png", "/set-1x.png", "/wide.png", "/style.png", "/sprite.svg",
    "/twice.png",
    "/data.json",
}  # fmt: skip
"""What a desktop browser fetches with the page, from the same origin."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>choices</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="main.css"><link rel="stylesheet" href="print.css" media="print">
<link rel="stylesheet" href="off.css" disabled>
<link rel="preload" as="script" href="preloaded.js"><link rel="modulepreload" href="ahead.js">
<link rel="preload" as="font" href="ahead.woff2" crossorigin>
<link rel="preload" as="fetch" href="data.json" crossorigin>
<link rel="dns-prefetch" href="https://elsewhere.invalid/">
<link rel="preload" as="image" href="small.png" media="(max-width: 600px)">
<style>@import "inline.css"; @font-face { font-family: latin; src: url(latin.woff2) format("woff2");
unicode-range: U+0-FF; } @font-face { font-family: latin; src: url(greek.woff2); unicode-range: U+370-3FF; }
h1 { font-family: latin; } h2 { background: url(style.png) }</style>
<script src="plain.js"></script><script type="module" src="module.js"></script>
<script nomodule src="old.js"></script><script type="text/template" src="template.js"></script>
</head><body><h1>Words</h1><h2>and</h2><h3>more</h3><h4>of</h4><h5>them</h5>
<img src="fallback.png" srcset="2x.png 2x" alt=""><img src="1x-not.png" srcset="1x.png 1x, 2x.png 2x" alt="">
<img src="src.png" srcset="width-400.png 400w, width-800.png 800w, width-1600.png 1600w"
sizes="(max-width: 500px) 100vw, 800px" alt="">
<picture><source media="(max-width: 500px)" srcset="narrow.webp">
<source type="image/unheard-of" srcset="x.unheard">
<source type="image/webp" srcset="best.webp"><img src="worse.png" alt=""></picture>
<input type="image" src="button.png" alt=""><video poster="poster.png"></video>
<p style="background-image: url('attribute.png')">p</p>
<svg width="9" height="9"><use href="sprite.svg#a"></use></svg>
<img src="twice.png" alt=""><img src="twice.png#again" alt="">
<noscript><img src="no-script.png" alt=""></noscript><template><img src="template.png" alt=""></template>
<!-- <img src="comment.png"> -->
<link rel="stylesheet" href="late.css"></body></html>
"""

_CONTENTS = {
    "/": PAGE,
    "/main.css": '@charset "utf-8"; @import "nested/deep.css"; @import url(alternative.css) (min-width: 1px);'
    "h4 { background: url(wide.png) } @media (max-width: 500px) { h4 { background: url(narrow.png) } }",
    "/nested/deep.css": '@font-face { font-family: face; src: url(f.eot), url("face.woff2") format("woff2") }'
    "h3 { font-family: face; background: url( background.png ) } @import 'too-late.css';",
    "/alternative.css": "h5 { background: image-set('set-1x.png' 1x, 'set-2x.png' 2x) }",
    "/sprite.svg": '<svg xmlns="http://www.w3.org/2000/svg"><g id="a"></g></svg>',
}

_TYPES = {
    "css": b"text/css", "js": b"text/javascript", "png": b"image/png", "webp": b"image/webp",
    "woff2": b"font/woff2", "svg": b"image/svg+xml", "json": b"application/json",
}  # fmt: skip


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the page; everything it names is there, and most of it empty."""
    if scope["type"] != "http":
        raise NotImplementedError
    path = scope["path"]
    content = _CONTENTS.get(path, "").encode()
    ending = re.sub(r".*\.", "", path)
    headers = [
        (b"content-type", _TYPES.get(ending, b"text/html")),
        (b"content-length", b"%d" % len(content)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
