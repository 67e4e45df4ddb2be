"""Clients that users share, each user with cookies, fields and credentials of its own."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

from plait.client.making import RequestMaker
from plait.client.sync_client import Client
from plait.integrations.locust.driver import GreenletDriver

if TYPE_CHECKING:
    from locust.env import Environment

    from plait.client.routes import Verify
    from plait.drivers.blocking import BlockingDriver

__all__ = ["SharedClient", "Sharing"]

#: What a load test expects: no request waits for another one's response on this side, and what a server sets
#: up as limit is met with a further connection.
_OPTIONS: Mapping[str, Any] = {
    "max_in_flight": 2**31 - 1,
    "max_h2_connections": 2**31 - 1,
    "max_connections": 2**31 - 1,
    "follow_redirects": True,
    "max_redirects": 30,
}


class SharedClient(Client):
    """A client whose connections carry the requests of many users, greenlets all of them."""

    _driver_type: ClassVar[type[BlockingDriver]] = GreenletDriver

    def for_user(self, base_url: str, auth: tuple[str, str] | None, headers: Mapping[str, str]) -> Client:
        """Return the same client with what belongs to one user.

        Args:
            base_url: The URL that relative ones continue.
            auth: Who asks, name and password; or None.
            headers: Fields that every request of the user has.

        Raises:
            LocalProtocolError: The base URL is none, or HTTP cannot carry a field.
        """
        one = copy(self)
        core = one._core = copy(self._core)
        core.maker = RequestMaker(base_url, core.config, auth=auth, headers=headers)
        return one


class Sharing:
    """Which users share a client: all of a class and an environment, or so many of them.

    Args:
        verify: See :class:`plait.Client`.
        options: Fields of :class:`plait.config.ClientConfig`.
        users_per_client: How many users share one, None for all.
    """

    def __init__(self, verify: Verify, options: Mapping[str, Any], users_per_client: int | None) -> None:
        self._verify = verify
        self._options = {**_OPTIONS, **options}
        self._users_per_client = users_per_client
        self._clients: list[tuple[SharedClient, WeakSet[Any]]] = []

    def client_for(self, user: Any) -> SharedClient:
        """Return the client of a user, who shares it for as long as there is somebody who knows the user.

        Raises:
            ConfigError: An option is wrong.
            TypeError: There is no such option.
        """
        for client, users in self._clients:
            if self._users_per_client is None or len(users) < self._users_per_client:
                users.add(user)
                return client
        client = SharedClient(verify=self._verify, **self._options)
        client._core.own_limits = True  # of its users' requests, which it does not see being made
        self._clients.append((client, WeakSet([user])))
        return client

    @property
    def clients(self) -> list[SharedClient]:
        """All clients so far."""
        return [client for client, _ in self._clients]

    def close(self) -> None:
        """Close every client; those that come after begin anew."""
        while self._clients:
            self._clients.pop()[0].close()

    @classmethod
    def of(cls, environment: Environment, user_class: Any) -> Sharing:
        """Return what the users of a class share in an environment, until its test stops."""
        classes = _sharing.get(environment)
        if classes is None:
            classes = _sharing[environment] = {}
            environment.events.test_stop.add_listener(_close_all)
            environment.events.quitting.add_listener(_close_all)
        found = classes.get(user_class)
        if found is None:
            found = classes[user_class] = cls(
                user_class.verify, user_class.plait_options, user_class.users_per_client
            )
        return found


def _close_all(environment: Environment, **others: Any) -> None:
    for one in _sharing.get(environment, {}).values():
        one.close()


#: By environment and class of users.
_sharing: WeakKeyDictionary[Environment, dict[Any, Sharing]] = WeakKeyDictionary()
