"""Users over HTTP/2 for Locust: ``from plait.integrations.locust import HttpUser``."""

from plait.errors import ConfigError

try:
    import locust  # noqa: F401  # which patches the standard library, before anything here is imported
except ModuleNotFoundError as error:
    raise ConfigError('Locust is not installed: pip install "plait[locust]"') from error

from plait.integrations.locust.response import Response
from plait.integrations.locust.session import HttpSession
from plait.integrations.locust.user import HttpUser

__all__ = ["HttpSession", "HttpUser", "Response"]
