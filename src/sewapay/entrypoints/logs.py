"""One JSON object a line, to stderr or to `SEWAPAY_LOG_FILE`; whatever other libraries log takes the same road."""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

import structlog

from sewapay.application.errors import UnusableSetting

__all__ = ["configure_logs", "require_writable"]

# These write every outgoing address with its query at INFO, which may carry references and tokens.
_TOO_TALKATIVE = ("httpx", "httpcore", "aiohttp", "asyncio", "uvicorn.access")


def require_writable(log_file: Path) -> None:
    """Raise `UnusableSetting` unless lines could be written there. Makes no file."""
    folder = log_file.parent
    if os.path.isdir(log_file):
        raise UnusableSetting("SEWAPAY_LOG_FILE names a folder and not a file")
    if not os.path.isdir(folder):
        raise UnusableSetting("SEWAPAY_LOG_FILE names a file in a folder that is not there")
    if not os.access(log_file if os.path.exists(log_file) else folder, os.W_OK):
        raise UnusableSetting("SEWAPAY_LOG_FILE names a file that this user may not write")


def configure_logs(log_file: Path | None, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Set up logging for this process, replacing what was set up before. Times are UTC.

    Raises `UnusableSetting` for a file that cannot be written, and changes nothing then.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = _to_file(log_file) if log_file else logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def _to_file(log_file: Path) -> logging.FileHandler:
    try:
        return logging.FileHandler(log_file, encoding="utf-8")
    except (OSError, ValueError):
        require_writable(log_file)
        raise UnusableSetting("SEWAPAY_LOG_FILE names a file that cannot be opened") from None
