"""The company that a stand-in plays: all that it has beside its ledger. A stand-in's own class is made from it."""

import random
import secrets
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from attrs import define, field

from sewapay.standins.armed import Armed
from sewapay.standins.clock import Agenda, Clock, system_now
from sewapay.standins.exchange import Answer, Reply
from sewapay.standins.faults import Fault, Spoiler
from sewapay.standins.happenings import Happening, Left
from sewapay.standins.shape import PAGE, Scene, Shape

Q = TypeVar("Q", bound=msgspec.Struct)


@define(kw_only=True, eq=False)
class Company(ABC, Generic[Q]):
    """Its time, its quirks, the faults that wait, what comes later, and who asked how often. Safe from any thread.

    A test may hold it in its own process while a server in another thread answers from it. `clock` returns an aware
    datetime; `seed` makes ids repeatable. A subclass is the company's ledger: it holds `lock` while it reads or writes.
    """

    shape: ClassVar[Shape]
    own_faults: ClassVar[tuple[type[Fault], ...]] = ()

    quirks: Q
    clock: Callable[[], datetime] = field(default=system_now, repr=False)
    seed: int | None = None
    seen: Counter[str] = field(factory=Counter, init=False)
    """How many requests came on each route, whatever came of them."""
    lock: threading.RLock = field(factory=threading.RLock, init=False, repr=False)
    chance: random.Random = field(init=False, repr=False)
    """Where ids come from."""
    ticket_key: bytes = field(factory=lambda: secrets.token_bytes(32), init=False, repr=False)
    """What binds a payer's browser to a payment, from one page to the next."""
    _time: Clock = field(init=False, repr=False)
    _agenda: Agenda = field(init=False, repr=False)
    _armed: Armed = field(init=False, repr=False)
    _first_quirks: Q = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - a stand-in's ids guard nothing and must be repeatable
        self._time = Clock(self.clock)
        self._agenda = Agenda(self._time)
        self._armed = Armed(self.shape, self.own_faults)
        self._first_quirks = self.quirks

    @abstractmethod
    def pay(self, reference: str, /) -> object:
        """The payer pays in full, be it late. Raises UnknownPayment and NotPossible, as the next four do."""

    @abstractmethod
    def pend(self, reference: str, /) -> object:
        """The payer has paid, but the money is somewhere on its way."""

    @abstractmethod
    def cancel(self, reference: str, /) -> object:
        """The payer gives up on the payment page."""

    @abstractmethod
    def expire(self, reference: str, /) -> object:
        """The link dies now, whatever the clock says."""

    @abstractmethod
    def refund(self, reference: str, amount: int | None = None, /) -> object:
        """The merchant refunds in their own panel: `amount` paisa, or all that is left."""

    @abstractmethod
    def left(self, reference: str, /) -> Left:
        """How the payment stands, and where the payer's browser is sent."""

    @abstractmethod
    def forget(self) -> None:
        """Empty the ledger. Ids go on from where they were, so that whoever remembers an old one never meets it."""

    def latest(self) -> str | None:
        """The reference that the company gave out last, if it gives any."""
        return None

    def layout(self) -> Shape:
        """How its answers are laid out at this moment: `shape`, unless a quirk has it otherwise."""
        return self.shape

    def pays(self, reference: str, pay: Callable[[], object] | None = None) -> Left:
        """The payer pays at the page or by a control route, and what is armed on `page` happens with it.

        `pay` is how (`self.pay` unless given): a page knows more about the payer.
        """
        how: Callable[[], object] = partial(self.pay, reference) if pay is None else pay
        with self.lock:
            fault = self.take_fault(PAGE, reference)
            if isinstance(fault, Happening):
                return fault.happen(self, reference, how)
            how()
            return self.left(reference)

    def answered(self, on: str, reference: str | None, base_url: str, genuine: Callable[[], Reply]) -> Answer:
        """One request on the wire: counted, answered by `genuine`, and spoiled by the fault that is meant for it.

        A fault that finds nothing to spoil waits on.
        """
        with self.lock:
            self.seen[on] += 1
            fault = self._armed.meant_for(on, reference)
            if fault is None:
                return genuine()
            honest: list[Reply] = []

            def told() -> Reply:
                honest.append(genuine())
                return honest[-1]

            scene = Scene(shape=self.layout(), base_url=base_url, earlier=self.latest(), skew=self.skew)
            answer = fault.answer(told, scene)
            if not (isinstance(fault, Spoiler) and answer in honest):
                self._armed.happened(fault)
            return answer

    def now(self) -> datetime:
        """The stand-in's own time, aware UTC."""
        with self.lock:
            return self._time.now()

    def stated(self, moment: datetime) -> datetime:
        """A moment as the company states it: wrong when its clock is."""
        with self.lock:
            return moment + self._time.skew

    def skew(self, seconds: float) -> None:
        """State times that are off by so much from now on."""
        with self.lock:
            self._time.skew = timedelta(seconds=seconds)

    def advance(self, seconds: float) -> datetime:
        """Move the stand-in's time by `seconds` (backwards when negative) and tell the new time. Raises Refused."""
        with self.lock:
            moved = self._time.advance(seconds)
            self.catch_up()
            return moved

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        with self.lock:
            self._agenda.later(seconds, what)

    def catch_up(self) -> None:
        """Let happen whatever is due by now. A stand-in's `answer` begins with it."""
        with self.lock:
            self._agenda.catch_up()

    def arm(self, fault: Fault) -> None:
        """Let `fault` happen, after those that are armed already. Raises Refused when it never could."""
        with self.lock:
            self._armed.add(fault)

    def arm_all(self, content: object) -> None:
        """Arm what JSON asks for: a fault, a list, or `{"random": ...}`; all of it or nothing. Raises Refused."""
        with self.lock:
            self._armed.arm(content)

    def armed(self) -> tuple[Fault, ...]:
        """The faults that are still to happen, in order."""
        with self.lock:
            return self._armed.waiting

    def armed_shown(self) -> dict[str, object]:
        """The same as JSON, with the random plan if there is one."""
        with self.lock:
            return self._armed.shown()

    def take_fault(self, on: str, reference: str | None) -> Fault | None:
        """The fault that is meant for this request, used up once."""
        with self.lock:
            fault = self._armed.meant_for(on, reference)
            if fault is not None:
                self._armed.happened(fault)
            return fault

    def disarm(self) -> None:
        """Nothing goes wrong any more."""
        with self.lock:
            self._armed.clear()

    def reset(self) -> None:
        """Forget everything but the key: ledger, faults, clock, counts, what was to come, and changed quirks."""
        with self.lock:
            self.forget()
            self._armed.clear()
            self._agenda.clear()
            self._time.reset()
            self.seen.clear()
            self.quirks = self._first_quirks


AnyCompany = Company[Any]
