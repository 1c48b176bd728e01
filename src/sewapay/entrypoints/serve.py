"""Running the service under uvicorn: one process, or several that share a listening socket."""

import gc
import os
import socket
from collections.abc import Mapping

import uvicorn
from litestar import Litestar

from sewapay.adapters.sql.migrations import current_revision, head_revision, migrate
from sewapay.application.errors import UnusableSetting
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import Container, build_container
from sewapay.entrypoints.logs import configure_logs, require_writable
from sewapay.entrypoints.settings import Settings, environment

__all__ = ["application", "collect_rarely", "prepare_database", "require_free", "run"]

WITHOUT_WORKER = "SEWAPAY_WITHOUT_WORKER"

# Young objects of a request die young: collecting them rarely costs little memory and saves much time (bench/).
YOUNG_OBJECTS_BEFORE_COLLECTION = 50_000


def application() -> Litestar:
    """The application of one worker process, from the environment; uvicorn calls this."""
    environ = environment()
    container = build_container(environ)
    configure_logs(container.settings().log_file)
    app = create_app(container, with_worker=environ.get(WITHOUT_WORKER) is None)
    collect_rarely()
    return app


def collect_rarely() -> None:
    """Leave alone what was made to last, and look through young objects less often than Python would."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_BEFORE_COLLECTION, 20, 50)


def prepare_database(settings: Settings) -> None:
    """Bring a development database up to date; in production refuse one that is not.

    Raises `UnusableSetting` then: production's database is changed by `sewapay migrate`, on purpose and once.
    """
    if current_revision(settings.database_url) == head_revision():
        return
    if settings.is_production:
        raise UnusableSetting("SEWAPAY_DATABASE_URL: this database is not up to date: run `sewapay migrate` first")
    migrate(settings.database_url)


def require_free(host: str, port: int) -> None:
    """Raise `UnusableSetting` unless this process could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "that is no host's name"
        raise UnusableSetting(f"cannot listen on host {host}, port {port}: {why}") from error


def run(environ: Mapping[str, str], *, host: str, port: int, workers: int, with_worker: bool = True) -> None:
    """Serve until stopped; each process looks at due payments too, unless told otherwise.

    Raises `UnusableSetting` before anything listens.
    """
    if not with_worker:
        os.environ[WITHOUT_WORKER] = "1"  # uvicorn starts its processes from the environment
    container: Container = build_container(environ)
    settings = container.settings()
    if settings.log_file is not None:
        require_writable(settings.log_file)
    require_free(host, port)
    container.gateways()
    prepare_database(settings)
    configure_logs(settings.log_file)
    uvicorn.run(
        "sewapay.entrypoints.serve:application",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
