"""`sewapay serve`, `worker` and `audit` as real processes, each started, asked and ended here, by its id."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from attrs import define, field

ROOT: Final = Path(__file__).resolve().parents[3]
START_SECONDS: Final = 40.0
STOP_SECONDS: Final = 40.0
PROGRAM: Final = "from sewapay.entrypoints.cli import main; main()"


@define
class Service:
    """The service on one port, with one process or several."""

    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    port: int
    workers: int = 1
    with_worker: bool = True
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Where its log goes."""
        return Path(self.environ.get("SEWAPAY_LOG_FILE") or self.output)

    @property
    def output(self) -> Path:
        """What it writes to its standard output and error."""
        return self.folder / f"service-{self.port}.out"

    @property
    def pid(self) -> int:
        """The process that answers, where there is only one."""
        return self._running.pid

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process

    def start(self) -> None:
        """Start it and wait until every process of it can serve."""
        before = self.begin()
        wait_for(lambda: self._is_ready(before), START_SECONDS, self.told)

    def begin(self) -> int:
        """Start it without waiting; how often it was started before."""
        before = self._started()
        command = [sys.executable, "-c", PROGRAM, "serve", "--port", str(self.port), "--workers", str(self.workers)]
        command += [] if self.with_worker else ["--no-worker"]
        self._process = _launched(command, self.environ, self.folder, self.output)
        return before

    def kill(self) -> None:
        """`kill -9`, all of it at once."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait; its exit code. Whatever does not end in time is killed."""
        if self._process is None:
            return 0
        ours, self._process = self._process, None
        return _ended(ours, how)

    def ask_to_end(self) -> "subprocess.Popen[bytes]":
        """SIGTERM, without waiting; the process, to wait for."""
        ours = self._running
        ours.send_signal(signal.SIGTERM)
        return ours

    def allow_file_size(self, greatest: int) -> None:
        """No file of it may grow beyond this: a full disk. The greatest possible number takes the limit away."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (greatest, resource.RLIM_INFINITY))

    def told(self) -> str:
        """The end of its log, for whoever reads why a test failed."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _started(self) -> int:
        return self.log.read_text(errors="replace").count("Application startup complete") if self.log.exists() else 0

    def _is_ready(self, before: int) -> bool:
        if self._running.poll() is not None:
            raise RuntimeError(f"the service ended at once:\n{self.told()}")
        if self._started() < before + self.workers:
            return False
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready", trust_env=False, timeout=5).status_code == 200
        return False


@define
class Worker:
    """`sewapay worker`, or another program that says "the worker is ready" and ends as it does."""

    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    name: str = "worker"
    program: tuple[str, ...] = ("-c", PROGRAM, "worker")
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    @property
    def output(self) -> Path:
        """Its log, and whatever else it writes."""
        return self.folder / f"{self.name}.out"

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it looks for work."""
        before = self.begin()
        wait_for(lambda: self._is_ready(before), START_SECONDS, self.told)

    def begin(self) -> int:
        """Start it without waiting; how often it was started before."""
        before = self.said("the worker is ready")
        self._process = _launched([sys.executable, *self.program], self.environ, self.folder, self.output)
        return before

    def kill(self) -> None:
        """`kill -9`."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait; its exit code. A process that is held goes on first."""
        if self._process is None:
            return 0
        ours, self._process = self._process, None
        with suppress(ProcessLookupError):
            ours.send_signal(signal.SIGCONT)
        return _ended(ours, how)

    def ask_to_end(self) -> "subprocess.Popen[bytes]":
        """SIGTERM, without waiting; the process, to wait for."""
        ours = self._running
        ours.send_signal(signal.SIGTERM)
        return ours

    def hold(self) -> None:
        """Stop it in the middle of whatever it does, as a virtual machine is stopped."""
        self._running.send_signal(signal.SIGSTOP)
        wait_for(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def go_on(self) -> None:
        """Let it go on where it was held."""
        self._running.send_signal(signal.SIGCONT)

    def said(self, what: str) -> int:
        """How often it wrote this."""
        return self.output.read_text(errors="replace").count(what) if self.output.exists() else 0

    def told(self) -> str:
        """The end of what it wrote, for whoever reads why a test failed."""
        return self.output.read_text(errors="replace")[-3000:] if self.output.exists() else ""

    def _is_ready(self, before: int) -> bool:
        if self._running.poll() is not None:
            raise RuntimeError(f"the worker ended at once:\n{self.told()}")
        return self.said("the worker is ready") > before


def _launched(command: list[str], environ: Mapping[str, str], folder: Path, output: Path) -> "subprocess.Popen[bytes]":
    with output.open("ab") as written:
        return subprocess.Popen(
            command, env=dict(environ), cwd=folder, stdout=written, stderr=written, stdin=subprocess.DEVNULL
        )


def _ended(ours: "subprocess.Popen[bytes]", how: signal.Signals) -> int:
    with suppress(psutil.NoSuchProcess):
        family = [psutil.Process(ours.pid), *psutil.Process(ours.pid).children(recursive=True)]
        ours.send_signal(how)
        for child in family[1:] if how == signal.SIGKILL else ():
            _signal(child, how)
        _, left = psutil.wait_procs(family[1:], timeout=STOP_SECONDS) if how == signal.SIGKILL else (None, ())
        with suppress(subprocess.TimeoutExpired):
            ours.wait(STOP_SECONDS)
        for member in (*left, *(member for member in family if member.is_running())):
            _signal(member, signal.SIGKILL)
    return ours.wait()


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(how)


def process_environ(environ: Mapping[str, str], **more: str) -> dict[str, str]:
    """The variables of a process: ours without what would steer it elsewhere, and these."""
    ours = ("SEWAPAY_", "KHALTI_", "ESEWA_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join(filter(None, (str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**inherited, **environ, **more, "PYTHONPATH": path}


@contextmanager
def a_service(
    environ: Mapping[str, str], folder: Path, *, workers: int = 1, with_worker: bool = True
) -> Iterator[Service]:
    """A running service; it works in `folder`. Ended afterwards, whatever happened to it meanwhile."""
    port = free_port()
    ours = process_environ(environ, SEWAPAY_PUBLIC_URL=f"http://127.0.0.1:{port}")
    service = Service(ours, folder, port, workers, with_worker)
    try:
        service.start()
        yield service
    finally:
        service.end()


@contextmanager
def a_worker(environ: Mapping[str, str], folder: Path, *, name: str = "worker") -> Iterator[Worker]:
    """A running `sewapay worker`. Ended afterwards, whatever happened to it meanwhile."""
    worker = Worker(process_environ(environ), folder, name)
    try:
        worker.start()
        yield worker
    finally:
        worker.end()


def ran(environ: Mapping[str, str], folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of `sewapay` that ended, and what it wrote."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=process_environ(environ), cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(happened: Callable[[], Any], seconds: float = 15.0, told: Callable[[], str] = str) -> None:
    """Look until it has, or until the time is over."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {seconds:g} s\n{told()}")
        time.sleep(0.02)
