"""Serve any ASGI application over real HTTP while a test runs."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn


class _Announced(uvicorn.Server):
    """A server that says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


@contextmanager
def run_in_thread(app: Any, *, port: int = 0, seconds: float = 10.0) -> Iterator[str]:
    """Serve `app` with uvicorn on a loopback port (a free one unless given); yields its base URL, without a slash.

    Start and stop may take `seconds` each at most; an application that does not start makes the test fail at once.
    The listening socket is bound before the thread starts, so that the port cannot be lost to somebody else.
    """
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="auto", timeout_graceful_shutdown=2)
    server = _Announced(config)
    thread = threading.Thread(target=_serve, args=(server, listener), name="test-server", daemon=True)
    thread.start()
    try:
        _wait_until_accepting(server, thread, seconds)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(seconds)
        listener.close()
    if thread.is_alive():
        raise TimeoutError(f"the server did not stop within {seconds} s")


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    # uvicorn leaves with SystemExit when the application's start-up fails; whoever waits sees that the thread ended.
    with suppress(SystemExit):
        server.run(sockets=[listener])


def _wait_until_accepting(server: _Announced, thread: threading.Thread, seconds: float) -> None:
    for _ in range(int(seconds / 0.05) + 1):
        if server.accepting.wait(0.05):
            return
        if not thread.is_alive():
            raise RuntimeError("the application did not start")
    raise TimeoutError(f"the server did not start within {seconds} s")
