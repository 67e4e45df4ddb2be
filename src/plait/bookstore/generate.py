"""The bundled catalogue: 3,000 books, real classics first and the rest invented from a fixed seed.

Invented books carry ``"generated": "yes"``, and their links lead nowhere (RFC 2606 keeps ``.example``
free). Their sizes follow a real reader's list of science fiction: the tables below give the length of
a title, and of a whole book as JSON without its votes, at every twentieth of that list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from math import isqrt
from random import Random
from typing import TypeAlias
from urllib.parse import urlencode

from plait.bookstore.catalogue import Book, Catalogue
from plait.bookstore.classics import CLASSICS

__all__ = ["bundled"]

COUNT = 3000
SEED = 2665
VOTED = 0.833  # the share of generated books with votes: 72 % of all, since classics have none

TITLE_LENGTHS = (2, 8, 11, 13, 15, 17, 19, 21, 24, 26, 29, 31, 33, 35, 37, 39, 42, 45, 49, 57, 105)
BOOK_SIZES = (
    114, 127, 132, 136, 139, 142, 146, 149, 151, 153, 156, 158, 161, 164, 167, 171, 176, 181, 187, 200, 265,
)  # fmt: skip

ADJECTIVE = (
    "Amber", "Ashen", "Bright", "Broken", "Burning", "Copper", "Crimson", "Distant", "Drowned", "Empty",
    "Endless", "Fallen", "Falling", "Final", "First", "Forgotten", "Frozen", "Golden", "Hidden", "Hollow",
    "Iron", "Last", "Lost", "Narrow", "Patient", "Quiet", "Restless", "Salt", "Second", "Seventh", "Silent",
    "Silver", "Sleeping", "Slow", "Sunken", "Unlit", "Unwritten", "Wandering", "Weightless", "Winter",
)  # fmt: skip
NOUN = (
    "Archive", "Ark", "Beacon", "Border", "Bridge", "Cartographer", "City", "Colony", "Comet", "Daughter",
    "Dome", "Drift", "Echo", "Eclipse", "Engine", "Envoy", "Exile", "Garden", "Gate", "Harbor", "Horizon",
    "House", "Lantern", "Machine", "Meridian", "Mirror", "Moon", "Orbit", "Orchard", "Parallax", "Passenger",
    "Pilot", "Planet", "Relay", "River", "Season", "Shore", "Signal", "Sky", "Star", "Station", "Storm",
    "Tide", "Tower", "Voyage", "Witness",
)  # fmt: skip
PLACE = (
    "Aldery", "Borrin", "Cassel", "Dovane", "Ebrith", "Fennix", "Galdor", "Hesper", "Isk", "Jorrow", "Kelm",
    "Lorne", "Mirrin", "Nevar", "Orrel", "Pelleas", "Quill", "Rhee", "Sarn", "Tolm", "Ulvane", "Vesk", "Wyrn",
    "Yarrow", "Zenn",
)  # fmt: skip
NUMBER = tuple("123456789")
GIVEN_NAME = (
    "Abra", "Aldo", "Bea", "Brix", "Cato", "Dario", "Edda", "Elvin", "Fenna", "Gisla", "Hanne", "Ibo", "Ilka",
    "Jory", "Kester", "Leontine", "Lio", "Maren", "Nils", "Odile", "Orla", "Per", "Quentin", "Rosalind",
    "Runa", "Sefa", "Tamsin", "Thaddeus", "Una", "Viggo", "Wilhelmina", "Yara",
)  # fmt: skip
FAMILY_NAME = (
    "Abelove", "Ashgrove", "Bellwick", "Brandish", "Calloway-Finch", "Corvane", "Dunmarrow", "Eastlark",
    "Farrowby", "Grevel", "Hartwhistle", "Inkpen", "Jessamy", "Kettleby", "Lorimond", "Marchbank", "Nettles",
    "Oakhanger", "Pellow", "Quist", "Rookwood", "Sandoe", "Thorne", "Umbery", "Vance-Oriel", "Wetherly",
)  # fmt: skip

Shape: TypeAlias = tuple[str | tuple[str, ...], ...]

_SERIES: Shape = (" (", NOUN, " of ", PLACE, ", #", NUMBER, ")")
_LONG_SERIES: Shape = (" (The ", ADJECTIVE, " ", NOUN, " Cycle, #", NUMBER, ")")
# Each with the length of title up to which it is taken.
TITLE_SHAPES: tuple[tuple[int, Shape], ...] = (
    (8, (NOUN,)),
    (10, ("The ", NOUN)),
    (13, (ADJECTIVE, " ", NOUN)),
    (17, ("The ", ADJECTIVE, " ", NOUN)),
    (22, ("The ", NOUN, " and the ", NOUN)),
    (27, ("The ", ADJECTIVE, " ", NOUN, " of ", PLACE)),
    (33, (ADJECTIVE, " ", NOUN, *_SERIES)),
    (39, ("The ", ADJECTIVE, " ", NOUN, *_SERIES)),
    (46, ("The ", ADJECTIVE, " ", NOUN, *_LONG_SERIES)),
    (58, ("The ", ADJECTIVE, " ", NOUN, " of ", PLACE, *_LONG_SERIES)),
    (85, ("The ", ADJECTIVE, " ", NOUN, ": ", NOUN, " and ", NOUN, " of ", PLACE, *_LONG_SERIES)),
    (
        999,
        (
            "The ", ADJECTIVE, " ", NOUN, ", the ", ADJECTIVE, " ", NOUN, " and Other ", NOUN, "s of ", PLACE,
            *_LONG_SERIES,
        ),
    ),
)  # fmt: skip

# The size of a generated book with nothing in it.
EMPTY_SIZE = len(json.dumps({"title": "", "author": "", "score": "", "url": "", "generated": "yes"}))
_SLUG = str.maketrans({" ": "-", "#": None, "(": None, ")": None, ",": None, ":": None})


def bundled() -> Catalogue:
    """Make the catalogue that ships with plait; the same books on every machine and Python."""
    return Catalogue(_books())


def _books() -> Iterator[Book]:
    known = [(year, title, author) for author, titles in CLASSICS.items() for title, year in titles.items()]
    for id, (year, title, author) in enumerate(sorted(known), 1):
        query = urlencode({"title": title, "author": author})
        url = f"https://openlibrary.org/search?{query}"
        yield Book.from_fields(id, {"title": title, "author": author, "year": str(year), "url": url})
    # Only random() itself promises the same sequence on every version of Python.
    random = Random(SEED).random
    for id in range(len(known) + 1, COUNT + 1):
        yield Book.from_fields(id, _invent(id, random))


def _invent(id: int, random: Callable[[], float]) -> dict[str, str]:
    quantile = random() * (len(BOOK_SIZES) - 1)
    title_length = _interpolate(TITLE_LENGTHS, quantile)
    shape = next(shape for longest, shape in TITLE_SHAPES if title_length < longest)
    title = "".join([part if isinstance(part, str) else part[int(random() * len(part))] for part in shape])
    author = f"{GIVEN_NAME[int(random() * len(GIVEN_NAME))]} {FAMILY_NAME[int(random() * len(FAMILY_NAME))]}"
    score = 98 + 14_000_000 // (id * isqrt(id))
    fields = {"title": title, "author": author, "score": f"{score:,}", "url": f"https://books.example/{id}"}
    # The link takes what is left of the size: a part of the title and the author's name, as such links do.
    room = _interpolate(BOOK_SIZES, quantile) - EMPTY_SIZE - sum(map(len, fields.values()))
    if room > 1:
        fields["url"] += f"-{title} {author}".lower().translate(_SLUG)[:room]
    if random() < VOTED:
        fields["vote_count"] = str(1 + score // 150)
    fields["generated"] = "yes"
    return fields


def _interpolate(table: Sequence[int], position: float) -> int:
    index = int(position)
    return table[index] + int((table[index + 1] - table[index]) * (position - index))
