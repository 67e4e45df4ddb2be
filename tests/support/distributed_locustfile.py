"""Users of two kinds, for tests/integrations/test_locust_distributed.py: each asks 25 times, and stops."""

import os

from locust import task
from locust.exception import StopUser

from plait.integrations.locust import HttpUser

REQUESTS = 25


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
    fixed_count = 12
    path = "/shared"


class InGroups(Asking):
    fixed_count = 12
    path = "/groups"
    users_per_client = 3
