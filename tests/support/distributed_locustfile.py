"""Users of two kinds, for tests/integrations/test_locust_distributed.py: each asks 25 times, and stops."""

import os
from typing import Any

import gevent
from locust import events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner

from plait.integrations.locust import HttpUser

REQUESTS = 25
USERS = 12


@events.init.add_listener
def end_with_the_last_request(environment: Environment, **_: Any) -> None:
    """Have the master end when it has counted everything, however long that takes."""
    runner = environment.runner
    if isinstance(runner, MasterRunner):

        def watch() -> None:
            while runner.stats.total.num_requests < 2 * USERS * REQUESTS:
                gevent.sleep(0.1)
            runner.quit()

        gevent.spawn(watch)


class Asking(HttpUser):
    abstract = True
    host = os.environ["SITE"]
    verify = os.environ["CA"]
    path: str

    def on_start(self) -> None:
        self.client.headers.update({"x-worker": self.environment.runner.client_id, "x-user": str(id(self))})

    @task
    def ask(self) -> None:
        for _ in range(REQUESTS):
            assert self.client.get(self.path).text == "a few words"
        raise StopUser


class Sharing(Asking):
    fixed_count = USERS
    path = "/shared"


class InGroups(Asking):
    fixed_count = USERS
    path = "/groups"
    users_per_client = 3
