"""The catalogue that ships with plait: real classics, marked inventions, the sizes of a real list."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable
from pathlib import Path

from plait.bookstore.catalogue import Book, load
from plait.bookstore.generate import bundled
from tests.support.bookstore import real_catalogue

# Sizes as JSON of the 3,000 real books, at every tenth of them.
REAL_SIZES = [144, 153, 159, 165, 170, 176, 183, 190, 201]
REAL_MEAN = 172.3


def deciles(books: Iterable[Book]) -> list[float]:
    return statistics.quantiles((len(book.json) for book in books), n=10)


def test_it_is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256(b"\n".join(book.json for book in bundled())).hexdigest()
    assert digest == "e173b2e0909cfc102768ef9dc96c4dfea69fb8893d13c71f939243bfc10340b4"


def test_it_holds_three_thousand_books_numbered_in_order() -> None:
    catalogue = bundled()
    assert catalogue.ids == tuple(range(1, 3001))
    assert json.loads(catalogue.ids_json) == list(catalogue.ids)


def test_every_book_is_a_classic_or_marked_as_generated() -> None:
    books = list(bundled())
    generated = [book.fields.get("generated") == "yes" for book in books]
    assert generated == sorted(generated), "classics come first"
    for book in books:
        if book.fields.get("generated") == "yes":
            assert book.fields.keys() - {"vote_count"} == {"title", "author", "score", "url", "generated"}
            assert str(book.fields["url"]).startswith(f"https://books.example/{book.id}")
        else:
            assert book.fields.keys() == {"title", "author", "year", "url"}, "a classic has facts only"
    found = {(book.fields["title"], book.fields["author"]): book.fields.get("year") for book in books}
    assert found["Dune", "Frank Herbert"] == "1965"
    assert found["Fahrenheit 451", "Ray Bradbury"] == "1953"
    assert found["The Left Hand of Darkness", "Ursula K. Le Guin"] == "1969"


def test_its_sizes_are_those_of_the_real_list() -> None:
    books = list(bundled())
    for ours, real in zip(deciles(books), REAL_SIZES, strict=True):
        assert abs(ours - real) <= 0.03 * real
    assert abs(statistics.mean(len(book.json) for book in books) - REAL_MEAN) <= 0.02 * REAL_MEAN
    voted = sum("vote_count" in book.fields for book in books)
    assert abs(voted - 2171) <= 0.02 * 2171


def test_the_figures_above_are_those_of_the_real_list() -> None:
    real = list(load(real_catalogue()))
    for expected, found in zip(REAL_SIZES, deciles(real), strict=True):
        assert abs(expected - found) <= 1
    assert round(statistics.mean(len(book.json) for book in real), 1) == REAL_MEAN
    assert sum("vote_count" in book.fields for book in real) == 2171


def test_it_can_be_written_to_a_file_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "books.json"
    file.write_text(json.dumps({str(book.id): book.fields for book in bundled()}))
    assert list(load(file)) == list(bundled())
