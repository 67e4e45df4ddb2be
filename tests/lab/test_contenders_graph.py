from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.lab.contenders.graph import Graph


def test_what_has_no_parent_is_known_from_the_beginning_in_the_order_of_the_workload() -> None:
    graph = Graph([None, None, 0, None], [0.0, 0.0, 0.0, 0.0])
    graph.begin(10.0)
    assert graph.due(10.0) == [0, 1, 3]
    assert graph.due(10.0) == []
    assert graph.next_due is None


def test_a_complete_resource_makes_its_children_known() -> None:
    graph = Graph([None, 0, 1, 0], [0.0] * 4)
    graph.begin(10.0)
    graph.due(10.0)
    graph.complete(0, 11.0)
    assert graph.due(12.0) == [1, 3]
    assert graph.known[1] == graph.known[3] == 11.0


def test_a_delay_holds_a_resource_back_from_the_end_of_its_parent() -> None:
    graph = Graph([None, 0, 0], [0.0, 0.5, 0.0])
    graph.begin(10.0)
    graph.due(10.0)
    graph.complete(0, 11.0)
    assert graph.due(11.0) == [2]
    assert graph.next_due == 11.5
    assert graph.due(11.4) == []
    assert graph.due(11.5) == [1]
    assert graph.known[1] == 11.5
    assert graph.next_due is None


def test_resources_come_in_the_order_in_which_they_became_known() -> None:
    graph = Graph([None, None, 0, 1], [0.0, 0.0, 0.3, 0.0])
    graph.begin(10.0)
    graph.due(10.0)
    graph.complete(0, 11.0)  # makes 2 known at 11.3
    graph.complete(1, 11.2)  # makes 3 known at once
    assert graph.due(12.0) == [3, 2]


def test_a_resource_without_a_parent_may_have_a_delay_too() -> None:
    graph = Graph([None], [2.0])
    graph.begin(10.0)
    assert graph.due(10.0) == []
    assert graph.due(12.0) == [0]


@given(st.data())
def test_every_resource_becomes_known_once_and_not_before_its_parent_is_complete(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 30))
    parents = [data.draw(st.none() | st.integers(0, i - 1)) if i else None for i in range(size)]
    delays = data.draw(st.lists(st.sampled_from([0.0, 0.1, 1.0]), min_size=size, max_size=size))
    graph = Graph(parents, delays)
    now = 5.0
    graph.begin(now)
    waiting: list[int] = []
    ended: dict[int, float] = {}
    seen: list[int] = []
    while graph.unfinished:
        for index in graph.due(now):
            seen.append(index)
            waiting.append(index)
            parent = parents[index]
            begin = 5.0 if parent is None else ended[parent]
            assert graph.known[index] == begin + delays[index] <= now
        assert graph.unknown == size - len(seen)
        if waiting:
            index = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            now += data.draw(st.sampled_from([0.0, 0.05]))
            ended[index] = now
            graph.complete(index, now)
        else:
            assert graph.next_due is not None
            now = graph.next_due
    assert sorted(seen) == list(range(size))
