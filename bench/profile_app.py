"""Where the time goes: the application in this process, asked without a server in between, looked at while it works.

A timer of CPU time interrupts it some hundred times a second, and each time the stack is taken down; the shares of
the looks are the shares of the time, and they are told in milliseconds of CPU a request. Nothing is slowed down by
counting calls. So that one stack shows everything, SQLite's threads are replaced by plain calls: group commit is not
seen here, and uvicorn is not either (`python -m bench` measures both).
"""

import asyncio
import math
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

import uvloop
from litestar import Litestar

from bench.due import fill
from bench.plan import Answers, Operation
from bench.processes import JWT_SECRET, Khalti, fast_khalti, khalti_settings, migrate, worker_settings
from bench.shop import Sale, check, register, request
from sewapay.adapters.sql import sqlite
from sewapay.adapters.sql.workers import Job, Runner
from sewapay.application.errors import StoreUnavailable
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import build_container
from sewapay.entrypoints.logs import configure_logs
from sewapay.entrypoints.serve import collect_rarely, prepare_database
from sewapay.entrypoints.worker import Worker

T = TypeVar("T")

TASKS: Final = 32
WARM_UP: Final = 600
REQUESTS: Final = {Operation.INITIATE: 6000, Operation.CALLBACK: 6000, Operation.REPEAT: 10000, Operation.READ: 10000}
SETTLED: Final = 1000
LOOK_EVERY_SECONDS: Final = 0.001
LINES: Final = 45
_OURS: Final = "sewapay"
_THREADS: Final = "Workers"


class _Inline:
    """Does what `Workers` does, at once and in the event loop's own thread."""

    def __init__(self, _name: str, runners: Sequence[Runner]) -> None:
        self._runners = list(runners)

    async def run(self, work: Callable[[Any], T]) -> T:
        """Run it now."""
        if not self._runners:
            raise StoreUnavailable("the database is closed")
        job = Job(work, asyncio.get_running_loop().create_future())
        self._runners[0].run(job, lambda: None)
        return job.outcome()

    async def close(self) -> None:
        """Let go of the connections."""
        while self._runners:
            self._runners.pop().close()


class Looks:
    """The stacks that the timer saw."""

    def __init__(self) -> None:
        self.count = 0
        self.alone: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()

    def take(self, _signal: int, frame: FrameType | None) -> None:
        """Take down one stack."""
        self.count += 1
        if frame is not None:
            self.alone[_package(frame)] += 1
        seen = set()
        while frame is not None:
            seen.add(_place(frame))
            frame = frame.f_back
        self.whole.update(seen)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look while this lasts."""
        before = signal.signal(signal.SIGPROF, self.take)
        signal.setitimer(signal.ITIMER_PROF, LOOK_EVERY_SECONDS, LOOK_EVERY_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)


def run(database_url: str, folder: Path, operations: Sequence[Operation]) -> None:
    """Print what dominates each operation on this database."""
    threads = getattr(sqlite, _THREADS)
    setattr(sqlite, _THREADS, _Inline)
    try:
        with fast_khalti() as khalti:
            uvloop.run(_profile(database_url, folder, operations, khalti))
    finally:
        setattr(sqlite, _THREADS, threads)


def run_reconciler(database_url: str, folder: Path, payments: int) -> None:
    """Print what dominates a look of the reconciler at a payment that stays open, and at one that is settled."""
    threads = getattr(sqlite, _THREADS)
    setattr(sqlite, _THREADS, _Inline)
    try:
        with fast_khalti() as khalti:
            settings = worker_settings(database_url, khalti) | {"SEWAPAY_LOG_FILE": str(folder / "profile.log")}
            migrate(settings, folder)
            for place, answers in enumerate(Answers):
                uvloop.run(_profile_reconciler(settings, place * payments + 1, payments, answers))
    finally:
        setattr(sqlite, _THREADS, threads)


async def _profile_reconciler(settings: dict[str, str], first: int, payments: int, answers: Answers) -> None:
    database_url = settings["SEWAPAY_DATABASE_URL"]
    container = build_container(settings)
    configure_logs(container.settings().log_file)
    await fill(database_url, first, payments, answers)
    collect_rarely()
    store = container.store()
    await store.open()
    looks = Looks()
    began = time.process_time()
    try:
        with looks.looking():
            done = await Worker(container).until_nothing_is_due()
    finally:
        await container.http_client().aclose()
        await store.close()
    if done.asked != payments or done.broken:
        raise RuntimeError(f"{done.asked} of {payments} payments were asked about")
    milliseconds = (time.process_time() - began) / payments * 1000
    _print(f"reconcile, {answers}, {database_url.partition(':')[0]}", looks, milliseconds)


async def _profile(database_url: str, folder: Path, operations: Sequence[Operation], khalti: Khalti) -> None:
    environ = {
        "SEWAPAY_ENV": "test",
        "SEWAPAY_DATABASE_URL": database_url,
        "SEWAPAY_JWT_SECRET": JWT_SECRET,
        "SEWAPAY_LOG_FILE": str(folder / "profile.log"),
        **khalti_settings(khalti.port),
    }
    container = build_container(environ)
    settings = container.settings()
    configure_logs(settings.log_file)
    await asyncio.to_thread(prepare_database, settings)
    app = create_app(container)
    collect_rarely()
    many = max(REQUESTS.values()) + WARM_UP
    sales = await register(database_url, 1, many)
    async with app.lifespan():
        for operation in Operation:
            some = sales[-SETTLED:] if not operation.asks_the_gateway else sales
            await _ask_all(app, operation, some[:WARM_UP])
            rest = some[WARM_UP:] if operation.asks_the_gateway else some
            wanted = len(rest) if operation.asks_the_gateway else REQUESTS[operation]
            requests = [rest[place % len(rest)] for place in range(wanted)]
            looks = Looks()
            began = time.process_time()
            with looks.looking():
                await _ask_all(app, operation, requests)
            milliseconds = (time.process_time() - began) / wanted * 1000
            if operation in operations:
                _print(f"{operation}, {database_url.partition(':')[0]}", looks, milliseconds)


async def _ask_all(app: Litestar, operation: Operation, sales: Sequence[Sale]) -> None:
    """Ask for each, so many at once as there would be connections. Raises at the first wrong answer."""
    waiting = iter(sales)

    async def ask_on() -> None:
        for sale in waiting:
            status, body = await _ask(app, request(operation, sale))
            if wrong := check(operation, sale, status, body):
                raise RuntimeError(wrong)

    await asyncio.gather(*(ask_on() for _ in range(TASKS)))


async def _ask(app: Litestar, raw: bytes) -> tuple[int, bytes]:
    """One request over ASGI, as uvicorn would hand it over."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.decode().split(" ")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    scope: Any = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}, "extensions": {},
    }  # fmt: skip
    status = 0
    pieces = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(pieces)


def _print(title: str, looks: Looks, milliseconds: float) -> None:
    print(f"\n== {title}: {milliseconds:.3f} ms CPU a request, {looks.count} looks")
    if not looks.count:
        print("no looks: this system has no timer of CPU time")
        return
    worth = milliseconds / looks.count
    print("-- by package, its own code and what it calls in C (ms)")
    packages = [f"{name} {count * worth:.3f}" for name, count in looks.alone.most_common(14)]
    print("   " + ", ".join(packages))
    print("-- by function, with everything below it (ms)")
    for place, count in looks.whole.most_common(LINES):
        if count * worth >= 0.005 and math.isfinite(worth):
            print(f"   {count * worth:6.3f}  {place}")


def _package(frame: FrameType) -> str:
    """The library whose code this is; for ours, the part of it."""
    module = str(frame.f_globals.get("__name__", "?"))
    parts = module.split(".")
    return ".".join(parts[:3]) if parts[0] == _OURS else parts[0]


def _place(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}"
