"""Crawl the bookstore over HTTP/2, and write its catalogue back, as `plait bookstore --catalogue` reads it:

scrapy runspider bookstore.py -a url=https://localhost:8443 -a output=catalogue.json
"""

import json

import scrapy

HANDLER = "plait.integrations.scrapy.DownloadHandler"


class Bookstore(scrapy.Spider):
    name = "bookstore"
    custom_settings = {
        "DOWNLOAD_HANDLERS": {"http": HANDLER, "https": HANDLER},
        "CONCURRENT_REQUESTS": 100,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 100,  # all of them on one connection
        "COOKIES_ENABLED": False,  # the bookstore sets none
        "DEFAULT_REQUEST_HEADERS": {"Accept": "application/json"},  # browsers get a page at /
    }

    def __init__(self, url, output, **more):
        super().__init__(**more)
        self.url = url.rstrip("/")
        self.output = output
        self.books = {}

    async def start(self):
        yield scrapy.Request(f"{self.url}/")

    def parse(self, response):
        for id in response.json():
            yield response.follow(f"/book?id={id}", self.parse_book, cb_kwargs={"id": id})

    def parse_book(self, response, id):
        self.books[id] = response.json()

    def closed(self, reason):
        with open(self.output, "w") as file:
            json.dump({str(id): self.books[id] for id in sorted(self.books)}, file, indent=1)
