"""An application runs in a task of its own from its first step, whatever it does with it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plait.server.tasks import start

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def step(coroutine: Coroutine[Any, Any, None]) -> asyncio.Future[asyncio.Future[None] | None]:
    """Start a coroutine from a callback of the loop, as a driver does."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[asyncio.Future[None] | None] = loop.create_future()
    loop.call_soon(lambda: started.set_result(start(coroutine, loop)))
    return started


async def begin(coroutine: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
    """Start a coroutine that waits."""
    task = await step(coroutine)
    assert task is not None
    return task


async def run(coroutine: Coroutine[Any, Any, None]) -> None:
    task = await step(coroutine)
    if task is not None:
        await task


async def test_a_coroutine_that_never_waits_is_done_at_once() -> None:
    steps: list[str] = []

    async def app() -> None:
        steps.append("ran")

    loop = asyncio.get_running_loop()
    done: list[bool] = []
    loop.call_soon(lambda: done.append(start(app(), loop) is None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (steps, done) == (["ran"], [True])


async def test_the_current_task_is_the_same_before_and_after_the_first_wait() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def app() -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        tasks.append(asyncio.current_task())

    task = await begin(app())
    await task
    assert tasks == [task, task, task]
    assert asyncio.current_task() is not task


async def test_all_tasks_knows_a_task_that_waits() -> None:
    async def app() -> None:
        await asyncio.sleep(30)

    task = await begin(app())
    assert task in asyncio.all_tasks()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task not in asyncio.all_tasks()


@pytest.mark.parametrize("steps", [0, 1, 3])
async def test_a_timeout_ends_what_it_covers(steps: int) -> None:
    outcome: list[str] = []

    async def app() -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            outcome.append("timed out")
        await asyncio.sleep(0)
        outcome.append("went on")

    await run(app())
    assert outcome == ["timed out", "went on"]


async def test_a_timeout_that_has_passed_already_ends_the_first_wait() -> None:
    outcome: list[str] = []

    async def app() -> None:
        try:
            async with asyncio.timeout(-1):
                await asyncio.sleep(30)
        except TimeoutError:
            outcome.append("timed out")

    await run(app())
    assert outcome == ["timed out"]


async def test_wait_for_and_shield_work_in_the_first_step() -> None:
    outcome: list[object] = []

    async def inner() -> str:
        await asyncio.sleep(0.01)
        return "inner"

    async def app() -> None:
        outcome.append(await asyncio.wait_for(inner(), 5))
        outcome.append(await asyncio.shield(inner()))
        try:
            await asyncio.wait_for(asyncio.sleep(30), 0.001)
        except TimeoutError:
            outcome.append("timed out")

    await run(app())
    assert outcome == ["inner", "inner", "timed out"]


async def test_a_task_group_works_in_the_first_step() -> None:
    outcome: list[object] = []

    async def child(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def app() -> None:
        async with asyncio.TaskGroup() as group:
            children = [group.create_task(child(number)) for number in range(3)]
        outcome.append([one.result() for one in children])

    await run(app())
    assert outcome == [[0, 1, 2]]


async def test_a_task_group_whose_child_fails_cancels_its_parents_wait() -> None:
    outcome: list[str] = []

    async def fail() -> None:
        raise ValueError("a child's mistake")

    async def app() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.sleep(30)
        except* ValueError:
            outcome.append("caught")
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        outcome.append(f"cancelling {task.cancelling()}")

    await run(app())
    assert outcome == ["caught", "cancelling 0"]


async def test_gather_works_in_the_first_step() -> None:
    outcome: list[object] = []

    async def child(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def app() -> None:
        outcome.append(await asyncio.gather(*(child(number) for number in range(3))))

    await run(app())
    assert outcome == [[0, 1, 2]]


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_a_cancelled_task_sees_it_where_it_waits(steps: int) -> None:
    outcome: list[str] = []

    async def app() -> None:
        try:
            for _ in range(steps):
                await asyncio.sleep(0)
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    task = await begin(app())
    for _ in range(steps):
        await asyncio.sleep(0)
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert outcome == ["cancelled"]


async def test_a_cancellation_may_be_refused() -> None:
    outcome: list[str] = []

    async def app() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            outcome.append("refused")
        await asyncio.sleep(0)
        outcome.append("went on")

    task = await begin(app())
    task.cancel()
    await task
    assert outcome == ["refused", "went on"]
    assert not task.cancelled()


async def test_a_task_that_cancels_itself_in_its_first_step_sees_it_at_its_first_wait() -> None:
    outcome: list[str] = []

    async def app() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        outcome.append("still here")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            outcome.append("cancelled")

    await run(app())
    assert outcome == ["still here", "cancelled"]


async def test_a_task_that_cancels_itself_and_waits_for_a_turn_sees_it() -> None:
    outcome: list[str] = []

    async def app() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
            outcome.append("slept")
        except asyncio.CancelledError:
            outcome.append("cancelled")

    await run(app())
    assert outcome == ["cancelled"]


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_scopes_of_anyio_end_what_they_cover(when: str) -> None:
    outcome: list[str] = []

    async def app() -> None:
        if when == "later":
            await asyncio.sleep(0)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(30)
        assert scope.cancelled_caught
        outcome.append("moved on")
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 30)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        outcome.append("cancelled")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep(30)
        outcome.append("cancelled at once")
        assert await anyio.to_thread.run_sync(lambda: 1) == 1
        outcome.append("back from a thread")

    await run(app())
    assert outcome == ["moved on", "cancelled", "cancelled at once", "back from a thread"]


async def test_context_variables_neither_leak_in_nor_out() -> None:
    seen: list[str] = []

    async def app(name: str) -> None:
        seen.append(variable.get())
        variable.set(name)
        await asyncio.sleep(0)
        seen.append(variable.get())

    for name in ("one", "two"):
        await run(app(name))
    assert seen == ["unset", "one", "unset", "two"]
    assert variable.get() == "unset"


async def test_a_context_variable_can_be_reset_after_the_first_wait() -> None:
    async def app() -> None:
        token = variable.set("mine")
        await asyncio.sleep(0)
        variable.reset(token)
        assert variable.get() == "unset"

    await run(app())


async def test_an_exception_after_a_wait_is_the_tasks_own() -> None:
    async def app() -> None:
        await asyncio.sleep(0)
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        await run(app())


async def test_a_callback_is_called_at_the_end() -> None:
    ended = asyncio.Event()

    async def app() -> None:
        await asyncio.sleep(0)

    task = await begin(app())
    task.add_done_callback(lambda _: ended.set())
    await ended.wait()
    assert task.done()


async def test_an_async_generator_closed_in_the_first_step_is_closed() -> None:
    outcome: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            outcome.append("closed")

    async def app() -> None:
        generator = numbers()
        outcome.append(str(await anext(generator)))
        await generator.aclose()

    await run(app())
    assert outcome == ["1", "closed"]


async def test_two_at_once_do_not_mix() -> None:
    log: list[tuple[str, int]] = []

    async def app(name: str) -> None:
        for number in range(3):
            log.append((name, number))
            await asyncio.sleep(0)

    first, second = await begin(app("a")), await begin(app("b"))
    await asyncio.gather(first, second)
    assert [entry for entry in log if entry[0] == "a"] == [("a", number) for number in range(3)]
    assert [entry for entry in log if entry[0] == "b"] == [("b", number) for number in range(3)]


async def test_nothing_complains_when_tasks_are_collected(caplog: pytest.LogCaptureFixture) -> None:
    async def quick() -> None:
        pass

    async def slow() -> None:
        await asyncio.sleep(0)

    for _ in range(3):
        await run(quick())
        await run(slow())
    gc.collect()
    assert caplog.records == []


async def test_a_task_shows_itself() -> None:
    async def app() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert "app" in repr(task)
        assert task.get_name()
        assert task.get_coro() is not None
        await asyncio.sleep(0)
        assert "app" in repr(task)

    await run(app())
