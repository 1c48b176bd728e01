"""`sewapay serve` as real processes, each started, asked and ended here, by its id."""

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
        before = self._started()
        command = [sys.executable, "-c", PROGRAM, "serve", "--port", str(self.port), "--workers", str(self.workers)]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=dict(self.environ), cwd=self.folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        wait_for(lambda: self._is_ready(before), START_SECONDS, self.told)

    def kill(self) -> None:
        """`kill -9`, all of it at once."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait; its exit code. Whatever does not end in time is killed."""
        if self._process is None:
            return 0
        ours, self._process = self._process, None
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


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(how)


@contextmanager
def a_service(environ: Mapping[str, str], folder: Path, *, workers: int = 1) -> Iterator[Service]:
    """A running service; it works in `folder`. Ended afterwards, whatever happened to it meanwhile."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SEWAPAY_", "KHALTI_"))}
    path = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    ours = {**inherited, **environ, "SEWAPAY_PUBLIC_URL": f"http://127.0.0.1:{port}", "PYTHONPATH": path}
    service = Service(ours, folder, port, workers)
    try:
        service.start()
        yield service
    finally:
        service.end()


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
