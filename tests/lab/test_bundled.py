from __future__ import annotations

import json
import re
from hashlib import sha256
from random import Random

import pytest

from plait.bookstore.generate import bundled as bundled_books
from plait.errors import ConfigError
from plait.lab import filler
from plait.lab.bundled import BUNDLED, bookstore_workload, bundle, bundled_workload
from plait.lab.workload import Kind, Workload

KB = 1024


def sizes(workload: Workload, kind: Kind) -> list[int]:
    pairs = zip(workload.resources, workload.expected, strict=True)
    return [expected.size for resource, expected in pairs if resource.kind is kind]


@pytest.mark.parametrize("name", BUNDLED)
def test_parents_come_before_what_they_make_known(name: str) -> None:
    resources = bundled_workload(name).resources
    assert resources[0].parent is None
    for index, resource in enumerate(resources[1:], 1):
        assert resource.parent is not None
        assert resource.parent < index


@pytest.mark.parametrize("name", BUNDLED)
def test_a_resource_is_named_in_the_content_of_its_parent(name: str) -> None:
    made = bundle(name)
    for resource in made.resources[1:]:
        assert resource.parent is not None
        parent = made.contents[made.resources[resource.parent].path].body.decode("ascii")
        address = resource.path if made.name == "api-crawl" else resource.path.rpartition("/")[2]
        assert re.search(rf"[\"(]{re.escape(address)}[\")]", parent)


@pytest.mark.parametrize("name", BUNDLED)
def test_what_is_expected_is_what_is_served(name: str) -> None:
    workload = bundled_workload(name)
    contents = bundle(name).contents
    assert list(contents) == [resource.path for resource in workload.resources]
    for resource, expected in zip(workload.resources, workload.expected, strict=True):
        body = contents[resource.path].body
        assert expected.status == 200
        assert (expected.size, expected.digest) == (len(body), sha256(body).hexdigest())


def test_the_contents_are_the_same_every_time() -> None:
    made = bundle.__wrapped__("mixed-page")
    assert made is not bundle("mixed-page")
    assert made.contents == bundle("mixed-page").contents


def test_many_small_is_a_page_of_a_hundred_images_of_1_to_4_kb() -> None:
    workload = bundled_workload("many-small")
    assert workload.page == "/many-small/"
    assert len(workload.resources) == 101
    assert all(1 * KB <= size <= 4 * KB for size in sizes(workload, Kind.IMAGE))


def test_few_large_is_a_page_of_six_images_of_half_to_one_mb() -> None:
    workload = bundled_workload("few-large")
    assert len(workload.resources) == 7
    assert all(512 * KB <= size <= 1024 * KB for size in sizes(workload, Kind.IMAGE))


def test_the_mixed_page_weighs_what_the_median_home_page_does() -> None:
    workload = bundled_workload("mixed-page")
    assert len(workload.resources) == 71
    weights = {kind: (len(sizes(workload, kind)), sum(sizes(workload, kind)) // KB) for kind in Kind}
    assert weights == {
        Kind.DOCUMENT: (1, 18),
        Kind.STYLE: (8, 78),
        Kind.SCRIPT: (24, 613),
        Kind.FONT: (4, 131),
        Kind.IMAGE: (34, 1054),
        Kind.DATA: (0, 0),
    }


def test_fonts_and_backgrounds_of_the_mixed_page_are_known_through_its_styles() -> None:
    resources = bundled_workload("mixed-page").resources
    parents = {kind: set() for kind in Kind}  # type: dict[Kind, set[Kind]]
    for resource in resources[1:]:
        assert resource.parent is not None
        parents[resource.kind].add(resources[resource.parent].kind)
    assert parents[Kind.FONT] == {Kind.STYLE}
    assert parents[Kind.IMAGE] == {Kind.STYLE, Kind.DOCUMENT}
    assert parents[Kind.SCRIPT] == parents[Kind.STYLE] == {Kind.DOCUMENT}


def test_the_api_crawl_is_three_levels_deep_and_asks_with_a_token() -> None:
    workload = bundled_workload("api-crawl")
    assert workload.page is None
    assert [resource.parent for resource in workload.resources[:11]] == [None, *[0] * 10]
    assert {resource.parent for resource in workload.resources[11:]} == set(range(1, 11))
    assert len(dict(workload.headers)["authorization"]) > 500
    for content in bundle("api-crawl").contents.values():
        assert isinstance(json.loads(content.body), dict)


def test_headers_are_named_once_and_in_lower_case() -> None:
    for name in BUNDLED:
        names = [field for field, _ in bundled_workload(name).headers]
        assert names == sorted(set(names))
        assert all(field == field.lower() for field in names)
        assert dict(bundled_workload(name).headers)["accept-encoding"] == "identity"


def test_an_unknown_workload_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"^'few-small' is not a bundled workload; there is: many-small, "):
        bundled_workload("few-small")


def test_the_bookstore_is_its_index_and_three_thousand_books() -> None:
    workload = bookstore_workload(bundled_books())
    assert len(workload.resources) == len(workload.expected) == 3001
    assert workload.resources[0].path == "/"
    assert [resource.parent for resource in workload.resources] == [None, *[0] * 3000]
    assert workload.page is None


def test_the_bookstore_is_cut_to_its_first_resources() -> None:
    whole, part = bookstore_workload(bundled_books()), bookstore_workload(bundled_books(), 10)
    assert part.resources == whole.resources[:10]
    assert part.expected == whole.expected[:10]


@pytest.mark.parametrize("requests", [0, -1, 3002])
def test_more_or_fewer_resources_than_the_bookstore_has_are_refused(requests: int) -> None:
    with pytest.raises(ConfigError, match=rf"1 to 3,001 resources, not {requests:,}$"):
        bookstore_workload(bundled_books(), requests)


@pytest.mark.parametrize("size", [100, 101, 1000, 70_000, 200_001])
def test_filler_has_the_size_that_was_asked_for(size: int) -> None:
    for make in (filler.png, filler.script, filler.font, filler.text):
        assert len(make(size, Random(1))) == size


def test_sizes_that_are_spread_add_up_and_are_few_large_and_many_small() -> None:
    made = sorted(filler.spread(100_000, 21, 1.0, Random(1)))
    assert sum(made) == 100_000
    assert made[10] < 100_000 / 21 < made[-1]
