"""Serve any ASGI application over real HTTP while a test runs."""

from sewapay.testing.servers import run_in_thread

__all__ = ["run_in_thread"]
