"""The class of users that a locustfile derives its own from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from locust import User
from locust.exception import StopTest
from locust.user.users import RestMixin

from plait.errors import PlaitError
from plait.integrations.locust.response import Response
from plait.integrations.locust.session import HttpSession
from plait.integrations.locust.sharing import Sharing

if TYPE_CHECKING:
    from plait.client.routes import Verify

__all__ = ["HttpUser"]


class HttpUser(User, RestMixin[Response]):
    """A user whose requests go over HTTP/2 where the host speaks it, on connections that users share.

    Attributes:
        client: The user's session, with cookies of its own.
        verify: Whether certificates are checked: True against the system's authorities, a path against those
            in that PEM file, False not at all; or an ``ssl.SSLContext``.
        plait_options: Options of :class:`plait.config.ClientConfig`, by name.
        users_per_client: How many users share a client, and so its connections; None for all that one
            process has of a class, 1 for none.
        default_headers: Fields that every request has.
    """

    abstract = True

    verify: ClassVar[Verify] = True
    plait_options: ClassVar[Mapping[str, Any]] = {}
    users_per_client: ClassVar[int | None] = None
    default_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        if self.host is None:
            raise StopTest("there is no host: give the user class one, or --host on the command line")
        try:
            client = Sharing.of(environment, type(self)).client_for(self)
            self.client = HttpSession(
                client, self.host, environment.events.request, self, self.default_headers
            )
        except (PlaitError, TypeError) as error:  # TypeError: there is no such option
            raise StopTest(f"{type(self).__name__} cannot send requests: {error}") from error
