"""What runs requests: calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plait.client.flow import MISDIRECTED, Flow, Pause, Step, fetch
from plait.client.goals import Goal
from plait.client.messages import Request
from plait.client.sites import Link
from plait.client.timekeeping import Timed
from plait.client.uploads import TrailerSection, Upload
from plait.errors import (
    ClientClosed,
    ExchangeError,
    PlaitError,
)
from plait.fields import Field
from plait.protocol.exchange import Exchange, Half

if TYPE_CHECKING:
    from plait.client.core import ClientCore
    from plait.client.messages import Response
    from plait.client.progress import Reporter
    from plait.protocol.priorities import Priority

__all__ = ["Call"]

_NOTHING = Half.HEAD


class Call(Timed):
    """One request's journey: to a connection, perhaps to a second one, and to its goal.

    A call never waits: deadlines belong to whoever waits for its result.

    Args:
        core: What the client's calls have in common.
        request: The request.
        goal: What is wanted of it first; :meth:`start` begins.

    Attributes:
        value: What came of it.
        error: Why it never will be, or None.
        chore: What is to be done before the call can go on, and may take its time; whoever owns the call
            takes it with :meth:`take_chore`, and gives what came of it to :meth:`carry_on`.
        reporter: What tells the caller how far it is, or None.
        history: The responses that led to the latest one by redirects.
        used_before: Whether the exchange's connection had carried another request before it.
        watchers: Called when the call is done, when it wants something of its owner, and when ``expires``
            may have come nearer.
    """

    __slots__ = (
        "_again",
        "_first",
        "_flow",
        "_goal",
        "_wanted",
        "chore",
        "error",
        "history",
        "reporter",
        "used_before",
        "value",
        "watchers",
    )

    def __init__(self, core: ClientCore, request: Request, goal: Goal) -> None:
        self._core = core
        self._goal = self._wanted = goal
        self._again = False
        #: What goes on after a chore or a pause, None while there is none.
        self._then: Callable[[Any, Exception | None], None] | None = None
        self.chore: Callable[[], Any] | None = None
        self.history: tuple[Response, ...] = ()
        self.reporter: Reporter | None = None
        self._flow: Flow | None = None
        self.used_before = False
        self.request = self._first = request
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None
        self.queued = False
        self.exchange: Exchange | None = None
        self.upload: Upload | None = None
        self.touched = self._submitted = core.clock()
        #: When the attempt began to wait for a connection, and when its content was handed over, where that
        #: is not when the request was submitted and sent.
        self._apart: tuple[float, float] | None = None
        self._answered = self.resumes = 0.0
        self._queued = 0
        self.limits = core.limits
        self.retries = None if request.plan is None else request.plan.retries
        if request.timeout is not None:
            self.limits = core.limits.but(request.timeout)
            core.own_limits = True
        self.deadline = self.touched + self.limits.total
        self.watchers: list[Callable[[], None]] | None = None

    def start(self) -> None:
        """Begin, or go on with the flow's next request: ask for a connection, and send the request once
        there is one with room.
        """
        plan = self.request.plan
        if plan is not None and plan.run is not None and self._flow is None:
            self._flow = plan.run(self.request, self)
            self._go_on(self._flow.send, None)
            return
        origin = self.request.origin
        core = self._core
        link = core.pool.ask(origin, self, self._again, self.touched)
        if link is None:
            self.queued = True
            if core.spreads:
                core.share_out(origin)  # each may take more now that there is more
            if core.pool.to_ping:
                core.ping()
            core.needs_connection(origin)
        else:
            self._send(link)

    def then(self, goal: Goal) -> None:
        """Go for the next goal, after the last was reached."""
        self._goal = goal
        self.done = False
        self.value = None
        if self.exchange is not None and goal.reached(self.exchange):
            self._arrive(self.exchange)

    def _send(self, link: Link) -> None:
        self._take(link)
        core = self._core
        request = self.request
        if self.reporter is not None:
            self.reporter.begin()
        has_content = request.content != b""
        try:
            pushes = link.endpoint.pushes
            if pushes is not None and not has_content and (pushed := pushes.answer_to(request.fields)):
                self.adopt(pushed, link)
                return
            exchange = link.endpoint.open_exchange(request.fields, end_stream=not has_content)
            self.exchange = exchange
            exchange.on_progress = self._progress
            if self._goal.whole:
                exchange.collect(core.config.max_content_size)
            if has_content:
                plan = request.plan
                if plan is not None and plan.expects_continue:
                    self.upload = Upload(exchange, request, held=True)
                    self.resumes = core.clock() + core.config.expect_timeout
                    core.needs_pause(self)
                else:
                    self._follow(Upload(exchange, request))
        except Exception as error:
            self._finish(None, error)

    def _take(self, link: Link) -> None:
        """Take note of the connection that the request goes over now."""
        self.used_before = link.exchanges > 0
        link.exchanges += 1
        self.link = link
        self.touched = self._sent = self._core.clock()

    def adopt(self, exchange: Exchange, link: Link) -> None:
        """Go for the goal with an exchange that the server began."""
        self.link = link
        self.touched = self._sent = self._core.clock()
        self.exchange = exchange
        exchange.on_progress = self._progress
        if self._goal.whole:
            exchange.collect(self._core.config.max_content_size)
        self._progress()

    def _follow(self, upload: Upload) -> None:
        """See to the rest of an upload that has begun."""
        assert self.exchange is not None
        self._queued = self.exchange.queued
        self.upload = upload if upload.unfinished else None
        if upload.source is not None:
            self._core.needs_content(self, upload)

    def _go_ahead(self, upload: Upload) -> None:
        """Send the content that was held back."""
        self.resumes = 0.0
        self._note_upload(self._core.clock())
        try:
            upload.begin()
            self._follow(upload)
        except ExchangeError:
            self.upload = None  # the stream is gone; the event that says why is on its way
        except Exception as error:
            self.give_up(error)
        else:
            self._changed()

    def _may_send(self, upload: Upload, exchange: Exchange) -> bool:
        """Whether the server still wants the content, and has said so where it was asked."""
        if exchange.status >= 400:
            # As curl has it: who has refused a request has no use for the rest of it.
            if upload.held:
                self.resumes = 0.0
            else:
                self.upload = None
                self._changed()
            return False
        if not upload.held:
            return True
        aside = exchange.aside
        if exchange.received is not _NOTHING or (aside and any(one[0][1] == b"100" for one in aside.interim)):
            self._go_ahead(upload)
        return False

    def _progress(self) -> None:
        """Take note that something happened to the exchange."""
        now = self.touched = self._core.clock()
        exchange = self.exchange
        if not self._answered and exchange is not None and exchange.received is not _NOTHING:
            self._answered = now
        upload = self.upload
        if upload is not None and exchange is not None and self._may_send(upload, exchange):
            if upload.unfinished:
                self._note_upload(now)
            try:
                upload.progress()
            except ExchangeError:
                self.upload = None  # the stream is gone; the event that says why is on its way
            else:
                self._queued = exchange.queued
                if upload.wants_piece or upload.written:
                    self._changed()
        if self.reporter is not None and exchange is not None and self.reporter.look(self, exchange):
            self._core.needs_owner(self)
            self._changed()
        if exchange is not None and not self.done and self._then is None and self._goal.reached(exchange):
            self._arrive(exchange)

    def _arrive(self, exchange: Exchange) -> None:
        """Tell the flow what came of its request, and do what it says."""
        goal = self._goal
        flow = self._flow
        error = exchange.error
        try:
            if error is not None and goal.missed(exchange):
                if flow is None:
                    if goal is not self._wanted:
                        raise error
                    flow = self._begin_flow()
                step = flow.throw(error)
            else:
                value = goal.result(exchange, self)
                if flow is None:
                    # Most responses are what their calls come to: no flow is begun to say so.
                    if goal is not self._wanted or (value.status != MISDIRECTED and self.retries is None):
                        if value is not None:
                            self._finish(value, None)
                        return
                    flow = self._begin_flow()
                step = flow.send(value)
        except StopIteration as end:
            self._finish(end.value, None)
        except Exception as error:
            self._finish(None, error)
        else:
            self._do(step)

    def _begin_flow(self) -> Flow:
        """Begin with what is done for a request that is sent and no more, at its first request."""
        flow = self._flow = fetch(self.request, self)
        next(flow)
        return flow

    def _go_on(self, resume: Callable[[Any], Step], value: Any) -> None:
        """Let the flow go on, and do what it says."""
        try:
            step = resume(value)
        except StopIteration as end:
            self._finish(end.value, None)
        except Exception as error:
            self._finish(None, error)
        else:
            self._do(step)

    def _do(self, step: Step) -> None:
        """Do what the flow says."""
        exchange = self.exchange
        if self._core.closed:
            failure = exchange.error if exchange is not None else None
            self._finish(None, failure or ClientClosed("the client was closed"))
        elif isinstance(step, Request):
            self._leave_exchange()
            self._goal = self._wanted
            self._answered = 0.0
            self.touched = self._core.clock()
            if self._again:
                self._apart = self.touched, 0.0
            self.request = step
            self.start()
            if self.watchers:
                self._changed()  # it may need a connection elsewhere
        elif isinstance(step, Goal):
            assert exchange is not None
            self._goal = step
            if step.whole:
                exchange.collect(self._core.config.max_content_size)
            if step.reached(exchange):
                self._arrive(exchange)
        elif isinstance(step, Pause):
            self._leave_exchange()
            self._then = self._resume_flow
            self.resumes = self._core.clock() + step.seconds
            self._core.needs_pause(self)
            self._changed()
        else:
            self._have_done(step, self._resume_flow)

    def _have_done(self, chore: Callable[[], Any], then: Callable[[Any, Exception | None], None]) -> None:
        """Have the owner do something, and then something be made of what came of it."""
        self._then = then
        self.chore = chore
        self._core.needs_owner(self)
        self._changed()

    def interject(self, chore: Callable[[], Any]) -> None:
        """Have the owner do something before the call goes on, whatever its exchange does meanwhile."""
        self._have_done(chore, self._resume_exchange)

    @property
    def paused(self) -> bool:
        """Whether the call waits for something else than its exchange."""
        return self._then is not None

    def _leave_exchange(self) -> None:
        """Let go of the exchange of an attempt that is over."""
        exchange = self.exchange
        if exchange is not None:
            self._again = True
            exchange.on_progress = self.exchange = self.upload = None
            self.resumes = 0.0
            if not exchange.closed and (exchange.received is not Half.ENDED or exchange.queued):
                exchange.abandon()

    def wake(self, when: float) -> None:
        """Go on after the pause, or the wait for a 100, that was to end then."""
        if self.resumes == when and when and not self.done:
            self.resumes = 0.0
            if self.upload is not None:
                self._go_ahead(self.upload)
            else:
                self.carry_on(None, None)

    def was_misdirected(self, request: Request, answer: Response | Exchange) -> bool:
        """Whether a response says that the request should go over another connection, and it can.

        If so, no further one to its origin goes over this (RFC 9110 §15.5.20).
        """
        if answer.status != MISDIRECTED or not request.replayable or self.exchange is None:
            return False
        return self._core.leave(request.origin, self.exchange)

    def note(self, response: Response) -> None:
        """Take note of what the fields of a response say (for its goal)."""
        self._core.maker.note(response)

    def cookie_field(self, request: Request) -> Field | None:
        """Return the cookies for another request (for the flow)."""
        return self._core.maker.cookie_field(request)

    @property
    def has_ended(self) -> bool:
        """Whether it is done, and nothing is left to be read of its response."""
        return self.done and self._wanted.whole

    @property
    def wants_owner(self) -> bool:
        """Whether there is something that only the one who owns the call can do."""
        return (
            self.chore is not None
            or (self.upload is not None and self.upload.wants_piece)
            or (self.reporter is not None and self.reporter.due)
        )

    def take_chore(self) -> Callable[[], Any] | None:
        """Return what is to be done, for one who will do it, and :meth:`carry_on`."""
        chore, self.chore = self.chore, None
        return chore

    def carry_on(self, value: Any, error: Exception | None) -> None:
        """Go on after a chore.

        Args:
            value: What came of it.
            error: What it raised, or None.
        """
        self.touched = self._core.clock()
        then, self._then = self._then, None
        if then is not None:
            then(value, error)

    def _resume_flow(self, value: Any, error: Exception | None) -> None:
        assert self._flow is not None
        if error is not None:
            self._go_on(self._flow.throw, error)
        else:
            self._go_on(self._flow.send, value)

    def _resume_exchange(self, value: Any, error: Exception | None) -> None:
        if error is not None:
            self.give_up(error)
        else:
            self._progress()

    def reprioritize(self, priority: Priority | str) -> None:
        """Ask for the response by another priority than so far (RFC 9218 §7).

        It counts for further attempts at the same request, too. Over HTTP/1.1, where a connection carries
        one response at a time, nothing is sent once the request is on its way.

        Args:
            priority: A :class:`plait.Priority`, or the text of a ``priority`` field.

        Raises:
            LocalProtocolError: It is none.
        """
        from plait.protocol.priorities import priority_value

        value = priority_value(priority)
        # Not "nothing" for the default: this is to be said, and not left to be taken for granted.
        self.request.headers["priority"] = (value or b"u=3").decode()
        exchange = self.exchange
        if exchange is not None and not exchange.closed:
            exchange.endpoint.connection.update_priority(exchange.stream_id, value or b"u=3")
            exchange.endpoint.on_output()

    def _changed(self) -> None:
        for watcher in self.watchers or ():
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call somebody when there may be something to do; see ``watchers``."""
        if self.watchers is None:
            self.watchers = []
        self.watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call this one no more."""
        assert self.watchers is not None
        self.watchers.remove(watcher)

    def give(self, piece: bytes | TrailerSection) -> None:
        """Send the piece of content that the upload wanted, ``END`` after the last."""
        self.touched = self._core.clock()
        self._note_upload(self.touched)
        if self.upload is not None:
            try:
                self.upload.give(piece)
                self._queued = 0 if self.exchange is None else self.exchange.queued
            except ExchangeError:
                self.upload = None  # as above

    def granted(self, link: Link) -> None:
        """Go on, on this connection (called for the pool)."""
        self.queued = False
        self._send(link)
        if self.watchers:
            self._changed()

    def refused(self, error: PlaitError) -> None:
        """End, or try again later: there will be no connection now (called for the pool)."""
        self.queued = False
        self._fail(error)

    def _fail(self, error: PlaitError) -> None:
        """End the attempt; whether the call ends is for the flow to say, where there are retries."""
        self._leave_queue()
        if self.retries is None:
            self._finish(None, error)
            return
        flow = self._flow or self._begin_flow()
        self._go_on(flow.throw, error)

    def _leave_queue(self) -> None:
        if self.queued:
            self._core.pool.withdraw(self.request.origin, self)
            self.queued = False

    def give_up(self, error: Exception) -> None:
        """End the call, and its exchange, from this side."""
        self._leave_queue()
        if self.exchange is not None:
            self.exchange.on_progress = None
            self.exchange.abandon()
        if not self.done:
            self._finish(None, error)
            return
        if not self._wanted.whole:
            self.error = error  # of what is still to be read, or written
        self._changed()

    def _finish(self, value: Any, error: Exception | None) -> None:
        if error is not None:
            if isinstance(error, PlaitError):
                error = error.about(self._first)
            if (plan := self.request.plan) is not None and plan.record is not None:
                from plait.client.recording import failed

                failed(self, error, self._core.clock())
        self.done = True
        self.value = value
        self.error = error
        self._flow = self.chore = self._then = None
        exchange = self.exchange
        if exchange is not None and (error is not None or self._wanted.whole):
            # It and the call hold each other, as the flow did: let go, so that all can go at once.
            exchange.on_progress = self.exchange = self.upload = None
            if error is not None:
                exchange.abandon()
        if self.watchers:
            self._changed()
