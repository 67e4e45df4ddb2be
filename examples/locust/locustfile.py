"""Readers of the bookstore, over HTTP/2: locust -f locustfile.py --host https://localhost:8443

The authority that signed the bookstore's certificate is in CA, or else among the system's.
"""

import os
import random

from locust import constant, task

from plait.integrations.locust import HttpUser  # from locust import HttpUser


class Reader(HttpUser):
    wait_time = constant(0.1)
    verify = os.environ.get("CA", True)

    def on_start(self):
        self.ids = self.client.get("/", name="index").json()

    @task(9)
    def read(self):
        self.client.get("/book", params={"id": random.choice(self.ids)}, name="book")

    @task
    def ask_for_what_is_not_there(self):
        with self.client.get("/book?id=999999", name="no book", catch_response=True) as response:
            if response.status_code == 404:
                response.success()
            else:
                response.failure(f"{response.status_code} for a book that is not there")
