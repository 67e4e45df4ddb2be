"""Reading a catalogue: every file is either served as it stands or refused with the line that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plait.bookstore.catalogue import load
from plait.errors import ConfigError
from tests.support.bookstore import real_catalogue

DUNE = '{"title": "Dune", "author": "Frank Herbert"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.json"


def refusal(file: Path, content: str | bytes) -> str:
    """Return why a file of this content is refused, without the file's name."""
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as caught:
        load(file)
    sentence = str(caught.value)
    assert sentence.startswith(f"{file}, line ")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{file}, ")


def test_books_keep_their_order_and_their_fields(file: Path) -> None:
    file.write_text(f'{{"7": {DUNE},\n "3": {{"title": 1984, "author": "George Orwell", "score": 9.5}}}}')
    catalogue = load(file)
    assert catalogue.ids == (7, 3)
    assert json.loads(catalogue.ids_json) == [7, 3]
    assert len(catalogue) == 2
    assert [book.id for book in catalogue] == [7, 3]
    book = catalogue.get(3)
    assert book is not None
    assert json.loads(book.json) == book.fields == {"title": 1984, "author": "George Orwell", "score": 9.5}
    assert catalogue.get(4) is None


def test_the_real_catalogue_is_served_as_it_stands() -> None:
    path = real_catalogue()
    catalogue = load(path)
    assert {str(book.id): json.loads(book.json) for book in catalogue} == json.loads(path.read_text())


def test_a_byte_order_mark_is_no_part_of_the_catalogue(file: Path) -> None:
    file.write_text(f'{{"1": {DUNE}}}', encoding="utf-8-sig")
    assert load(file).ids == (1,)


def test_a_lone_surrogate_survives(file: Path) -> None:
    file.write_text('{"1": {"title": "\\ud800", "author": "é"}}')
    assert json.loads(next(iter(load(file))).json) == {"title": "\ud800", "author": "é"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "line 1, column 1: a catalogue is an object of books keyed by id"),
        (f"\n[{DUNE}]", "line 2, column 1: a catalogue is an object of books keyed by id"),
        ("\n{}", "line 2, column 1: a catalogue needs at least one book"),
        (f'{{"1": {DUNE}}}\n{{}}', "line 2, column 1: nothing may follow the closing brace"),
        (f'{{"1": {DUNE},\n}}', "line 2, column 1: expecting a name in double quotes"),
        (f'{{"1": {DUNE}\n "2": {DUNE}}}', "line 2, column 2: expecting ',' or '}' after the value of '1'"),
        (f'{{"1": {DUNE}', "line 1, column 51: expecting ',' or '}' after the value of '1'"),
        (f'{{"1"\n{DUNE}}}', "line 2, column 1: expecting ':' after '1'"),
        ('{\n"1": }', "line 2, column 6: expecting value"),
        ('{\n"1', "line 2, column 1: unterminated string"),
        (f'{{\n"1": {DUNE},\n"1": {DUNE}}}', "line 3, column 1: '1' is given twice"),
        ('{"1":\n"Dune"}', "line 2, column 1: book 1 is not an object"),
        ('{\n"1": {"author": "A"}}', "line 2, column 1: book 1 has no title"),
        ('{\n"1": {"title": "", "author": "A"}}', "line 2, column 1: book 1 has no title"),
        ('{\n"1": {"title": "T"}}', "line 2, column 1: book 1 has no author"),
        (
            '{"1": {"title": "T",\n"author": "A",\n"tags": ["x"]}}',
            "line 3, column 9: the 'tags' of book 1 is neither a string nor a number",
        ),
        (
            '{"1": {"title": "T",\n"author": null}}',
            "line 2, column 11: the 'author' of book 1 is neither a string nor a number",
        ),
        (
            '{"1": {"title": "T", "author": "A", "score": true}}',
            "line 1, column 46: the 'score' of book 1 is neither a string nor a number",
        ),
        (
            '{"1": {"title": "T", "author": "A",\n"score": 1e999}}',
            "line 2, column 10: the 'score' of book 1 is neither a string nor a number",
        ),
        ('{"1": {"title": "T",\n"score": NaN}}', "line 2, column 10: the value NaN is not JSON"),
        ('{"1":\n' + '{"a":' * 500 + "NaN" + "}" * 501, "line 2, column 6: the value NaN is not JSON"),
        ('{"1": {"title": "T",\n"title": "U"}}', "line 2, column 1: 'title' is given twice"),
        ('{"1": {"title": "T",\n"score": ' + "9" * 5000 + "}}", "line 2, column 10: the number is too long"),
        ('{"1": ' + "[" * 100_000, "line 1, column 7: the value is nested too deeply"),
        (b'{"1": {"title": "T",\n"author": "\xe9"}}', "line 2: byte 0xe9 is not UTF-8"),
    ],
)
def test_a_malformed_file_is_refused_at_the_line_that_is_wrong(
    file: Path, content: str | bytes, sentence: str
) -> None:
    assert refusal(file, content) == sentence


@pytest.mark.parametrize("id", ["0", "-1", "01", "1.5", "one", "", " 1", "\uff11", "9" * 16])
def test_an_id_is_a_positive_integer(file: Path, id: str) -> None:
    sentence = refusal(file, json.dumps({id: {"title": "T", "author": "A"}}))
    assert sentence.endswith("is not an id, which is a positive integer of up to 15 digits")


@pytest.mark.parametrize("name", ["", "missing.json"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"^cannot read the catalogue .*: .*directory$"):
        load(tmp_path / name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
)
names = st.text(min_size=1, max_size=5) | json_values
nearly_books = st.fixed_dictionaries({"title": names, "author": names}, optional={"score": json_values})
nearly_catalogues = st.dictionaries(
    st.integers(-1, 50).map(str) | st.text(max_size=3), nearly_books | json_values, max_size=4
).map(lambda value: json.dumps(value).encode())


@st.composite
def damaged_catalogues(draw: st.DrawFn) -> bytes:
    content = draw(nearly_catalogues)
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    return content[:start] + draw(st.binary(max_size=4)) + content[end:]


@given(content=nearly_catalogues | damaged_catalogues() | st.binary(max_size=40))
@example(content=b'{"1": {"title": "T", "author": "A"}}')
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_file_is_either_read_as_json_reads_it_or_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        books = {str(book.id): json.loads(book.json) for book in load(file)}
    except ConfigError as error:
        sentence = str(error)
    else:
        sentence = ""
    assert sentence.startswith(f"{file}, line ") or books == json.loads(content)
