"""The reconciler's loop: inside `sewapay serve`, alone as `sewapay worker`, or once for cron."""

import asyncio
import logging
import signal
import time
from collections.abc import Mapping
from typing import Final

import uvloop

from sewapay.application.errors import StoreUnavailable
from sewapay.application.reconcile_payments import LeftAlone, Reconciled
from sewapay.entrypoints.container import Container, build_container
from sewapay.entrypoints.logs import configure_logs

__all__ = ["Worker", "run"]

_log: Final = logging.getLogger("sewapay.worker")

CLAIMED_AT_ONCE: Final = 100
IDLE_SECONDS: Final = 2.0
AWAY_SECONDS: Final = 5.0
TIDY_SECONDS: Final = 600.0


class Worker:
    """Looks for due payments, again and again; it rests when fewer than `claimed_at_once` were due."""

    def __init__(
        self, container: Container, *, claimed_at_once: int = CLAIMED_AT_ONCE, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._container = container
        self._claimed_at_once = claimed_at_once
        self._idle_seconds = idle_seconds
        self._stopping = asyncio.Event()
        self._tidies_at = 0.0
        self._left_alone: frozenset[LeftAlone] = frozenset()

    async def until_stopped(self) -> None:
        """Work until `stop`. What goes wrong is logged, and tried again; a run that has begun is finished."""
        while not self._stopping.is_set():
            rest = self._idle_seconds
            try:
                done = await self.once()
                rest = 0.0 if done.claimed >= self._claimed_at_once else rest
                rest = AWAY_SECONDS if done.stopped else rest
            except StoreUnavailable as away:
                _log.warning("the database cannot be used: %s", away)
                rest = AWAY_SECONDS
            except Exception:
                _log.exception("a run of the reconciler broke")
                rest = AWAY_SECONDS
            await self._rest(rest)

    async def until_nothing_is_due(self) -> Reconciled:
        """Work until a run finds nothing. Raises `StoreUnavailable`."""
        done = await self.once()
        last = done
        while last.claimed > last.skipped and not self._stopping.is_set():
            last = await self.once()
            done = done.and_(last)
        return done

    async def once(self) -> Reconciled:
        """One run, and a line in the log about what was unusual in it."""
        began = time.monotonic()
        if began >= self._tidies_at:
            self._tidies_at = began + TIDY_SECONDS  # should it fail, the runs go on all the same
            await self._tidy()
        done = await self._container.reconcile_payments()(self._claimed_at_once)
        for row in done.poisoned:
            _log.error("payment %s cannot be read (%s): put off for a day", row.payment_id, row.why)
        for claim, error in done.broken:
            _log.error("payment %s broke the reconciler: put off for an hour", claim.payment.id, exc_info=error)
        for name, error in done.stopped:
            _log.error("a run of the reconciler broke over the gateway %s", name, exc_info=error)
        away = frozenset(one for one in done.left_alone if one.until is not None)
        for one in away - self._left_alone:
            _log.warning("%s is left alone until %s: it does not answer, or refuses our key", one.gateway, one.until)
        self._left_alone = away
        if done.claimed:
            _log.info(
                "reconciled: %d due, %d asked, %d changed, %d silent, %d skipped, %d taken over, in %.2f s",
                done.claimed,
                done.asked,
                done.changed,
                done.silent,
                done.skipped,
                done.lost,
                time.monotonic() - began,
            )
        return done

    async def _tidy(self) -> None:
        """Forget old answers, and tell of payments that no run looks at."""
        await self._container.reconcile_payments().forget_old_answers()
        for one in await self._container.find_unasked()():
            _log.warning(
                "nobody asks %s (%s), which is not enabled here, about its undecided payments that are due (%d): enable"
                " it again until they are decided, or decide each by hand as `sewapay reconcile --payment ID --explain`"
                " tells",
                one.gateway,
                one.environment,
                one.payments,
            )

    def stop(self) -> None:
        """Take nothing more; what was taken is finished."""
        self._stopping.set()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def run(environ: Mapping[str, str], *, once: bool) -> Reconciled | None:
    """Work until SIGTERM or SIGINT, or with `once` until nothing is due.

    Raises `UnusableSetting`, `StoreUnavailable`.
    """
    from sewapay.entrypoints.serve import collect_rarely, prepare_database

    container = build_container(environ)
    settings = container.settings()
    container.gateways()
    prepare_database(settings)
    configure_logs(settings.log_file)
    collect_rarely()
    return uvloop.run(_life(container, once=once))


async def _life(container: Container, *, once: bool) -> Reconciled | None:
    worker, store = Worker(container), container.store()
    loop = asyncio.get_running_loop()
    for end in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(end, worker.stop)
    await store.open()
    try:
        if once:
            return await worker.until_nothing_is_due()
        _log.info("the worker is ready")
        await worker.until_stopped()
        return None
    finally:
        await container.http_client().aclose()
        await store.close()
