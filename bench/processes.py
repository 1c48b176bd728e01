"""The processes of a measurement: the service, Khalti, the load. Each is started, asked and ended here, by its id."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import psutil
from attrs import define, field

from bench.load import Job, Outcome, Ready, read_message, write_message

ROOT: Final = Path(__file__).resolve().parent.parent
PROGRAM: Final = str(Path(sys.executable).with_name("sewapay"))
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 40.0
LOOK_SECONDS: Final = 0.5
QUIET_CPUS: Final = 0.15
JWT_SECRET: Final = "the-benchmark-signs-its-own-tokens-with-this"
KHALTI_KEY: Final = "0123456789abcdef0123456789abcdef"
MEBIBYTE: Final = 1024 * 1024


def cpu_seconds(pid: int) -> float:
    """CPU that the process has used so far, user and system, all its threads.

    On Linux by its own clock, which counts nanoseconds; `/proc` counts hundredths of a second.
    """
    if sys.platform == "linux":
        return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of a process, see clock_getcpuclockid(3)
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def machine_cpu_seconds() -> float:
    """CPU seconds so far of everything that runs on this machine."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "steal", 0.0))


@define
class Patience:
    """Waits until the rest of the machine is quiet; for so many seconds in all, since it may never be."""

    seconds_left: float

    def wait_for_quiet(self) -> None:
        """Return at the first quiet moment, or when no patience is left."""
        while self.seconds_left > 0:
            before = machine_cpu_seconds()
            time.sleep(LOOK_SECONDS)
            if (machine_cpu_seconds() - before) / LOOK_SECONDS < QUIET_CPUS:
                return
            self.seconds_left -= LOOK_SECONDS


def _environment() -> dict[str, str]:
    """Ours, without what would set up the service another way."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("SEWAPAY_", "KHALTI_", "ESEWA_"))
    } | {"PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))}


def khalti_settings(port: int) -> dict[str, str]:
    """The variables that lead the service to the fast Khalti on this port."""
    return {"KHALTI_SECRET_KEY": KHALTI_KEY, "KHALTI_BASE_URL": f"http://127.0.0.1:{port}/api/v2"}


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask it to end, and its children with it; insist when it does not."""
    if process.poll() is not None:
        return
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        for member in family:
            if member.is_running():
                member.kill()
        process.wait()


def _stream(stream: IO[bytes] | None) -> Any:
    if stream is None:
        raise RuntimeError("the process was started without a pipe")
    return stream


@define
class Khalti:
    """The fast Khalti and its time to answer."""

    process: subprocess.Popen[bytes] = field(repr=False)
    port: int

    def take(self, milliseconds: int) -> None:
        """Let each answer take this long from now on."""
        stdin, stdout = _stream(self.process.stdin), _stream(self.process.stdout)
        stdin.write(b"%d\n" % milliseconds)
        stdin.flush()
        if int(stdout.readline()) != milliseconds:
            raise RuntimeError("the fast Khalti did not take its new time")

    @property
    def look_ups(self) -> int:
        """How many look-ups it has answered so far."""
        stdin, stdout = _stream(self.process.stdin), _stream(self.process.stdout)
        stdin.write(b"?\n")
        stdin.flush()
        return int(stdout.readline())

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.process.pid)


@contextmanager
def fast_khalti() -> Iterator[Khalti]:
    """A running fast Khalti on a free port."""
    with _piped("bench.fast_khalti") as process:
        yield Khalti(process, int(_stream(process.stdout).readline()))


@define
class Load:
    """The load's process, which does one job after another."""

    process: subprocess.Popen[bytes] = field(repr=False)

    def prepare(self, job: Job) -> None:
        """Have it open the connections of this job."""
        write_message(_stream(self.process.stdin), job)
        self._read(Ready)

    def run(self) -> Outcome:
        """Run the prepared job."""
        write_message(_stream(self.process.stdin), None)
        outcome: Outcome = self._read(Outcome)
        return outcome

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.process.pid)

    def _read(self, kind: type[Any]) -> Any:
        message = read_message(_stream(self.process.stdout))
        if message is None:
            raise RuntimeError("the load's process ended: what it wrote stands above")
        return msgspec.msgpack.decode(message, type=kind)


@contextmanager
def load_generator() -> Iterator[Load]:
    """A running load process."""
    with _piped("bench.load") as process:
        yield Load(process)


@contextmanager
def _piped(module: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), cwd=ROOT
    )
    try:
        yield process
    finally:
        _stream(process.stdin).close()  # its sign to end
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _stream(process.stdout).close()


@define
class Service:
    """The service as it is run for real: `sewapay serve`."""

    process: subprocess.Popen[bytes] = field(repr=False)
    port: int
    workers: int

    @property
    def cpu(self) -> float:
        """CPU seconds so far of all its processes."""
        return sum(cpu_seconds(member.pid) for member in self._family())

    @property
    def rss(self) -> float:
        """Resident memory of its greatest process, in MiB."""
        return float(max(member.memory_info().rss for member in self._family()) / MEBIBYTE)

    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


@contextmanager
def service(database_url: str, khalti: Khalti, *, workers: int, folder: Path) -> Iterator[Service]:
    """A running service. It works in `folder` and writes its log there."""
    process: subprocess.Popen[bytes] | None = None
    try:
        for attempts_left in (2, 1, 0):  # somebody may take the free port between our look and its start
            port = _free_port()
            environment = _environment() | {
                "SEWAPAY_ENV": "test",
                "SEWAPAY_DATABASE_URL": database_url,
                "SEWAPAY_JWT_SECRET": JWT_SECRET,
                "SEWAPAY_PUBLIC_URL": f"http://127.0.0.1:{port}",
                **khalti_settings(khalti.port),
            }
            command = [PROGRAM, "serve", "--port", str(port), "--workers", str(workers)]
            log = folder / f"service-{port}.log"
            with log.open("wb") as output:
                migrate = [PROGRAM, "migrate"]  # as in production, by a process of its own
                subprocess.run(migrate, env=environment, cwd=folder, stdout=output, stderr=output, timeout=60)
                process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
            started = Service(process, port, workers)
            if _is_ready(started, log):
                break
            _end(process, STOP_SECONDS)
            if not attempts_left:
                raise RuntimeError(f"the service did not start:\n{log.read_text(errors='replace')[-3000:]}")
        yield started
    finally:
        if process is not None:
            _end(process, STOP_SECONDS)


def worker_settings(database_url: str, khalti: Khalti) -> dict[str, str]:
    """The environment of a reconciler that no budget holds up."""
    return _environment() | {
        "SEWAPAY_ENV": "test",
        "SEWAPAY_DATABASE_URL": database_url,
        "SEWAPAY_LOOKUPS_PER_MINUTE": "1000000",
        **khalti_settings(khalti.port),
    }


def migrate(settings: dict[str, str], folder: Path) -> None:
    """Make the tables. Raises `CalledProcessError`."""
    subprocess.run([PROGRAM, "migrate"], env=settings, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=60)


@contextmanager
def program(command: Sequence[str], settings: dict[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running program that ends by itself. What it says goes to this file, what it logs to one beside it."""
    with output.open("wb") as said, output.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(list(command), env=settings, cwd=output.parent, stdout=said, stderr=log)
        try:
            yield process
        finally:
            _end(process, STOP_SECONDS)


def _is_ready(service: Service, log: Path) -> bool:
    """Wait until every worker serves; False when it ended, or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/health/ready", timeout=2) as answer:
                if answer.status == 200 and _all_workers_serve(service, log):
                    return True
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    return False


def _all_workers_serve(service: Service, log: Path) -> bool:
    return log.read_text(errors="replace").count("Application startup complete") >= service.workers


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
