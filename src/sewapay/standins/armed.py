"""The faults that wait in a stand-in: those that were armed one by one, and those that come at random from a seed."""

import random
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from attrs import define, field

from sewapay.standins.faults import KINDS, Fault
from sewapay.standins.happenings import HAPPENINGS
from sewapay.standins.refusals import Refused
from sewapay.standins.shape import PAGE, Shape

T = TypeVar("T")

REFERENCE: Final = "reference"
"""What every stand-in calls a payment, besides the company's own word for it."""


class AtRandom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests get a fault that nobody chose: `rate` of those on the routes `on` (all but `page`, without it).

    `kinds` are kinds by name, or faults without their `on`; all that are possible there, without it. The same seed and
    the same requests give the same faults.
    """

    seed: int
    rate: Annotated[float, msgspec.Meta(ge=0, le=1)]
    kinds: Annotated[list[str | dict[str, object]], msgspec.Meta(min_length=1)] | None = None
    on: list[str] | None = None


@define
class _Draws:
    """A random plan at work: what each route can get, and how many requests it has seen."""

    plan: AtRandom
    choice: Mapping[str, Sequence[Fault]]
    seen: int = 0
    given: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.plan.seed)  # noqa: S311 - faults must be repeatable

    def draw(self, on: str, reference: str | None) -> Fault | None:
        """The fault of one more request, if it gets one."""
        possible = [fault for fault in self.choice.get(on, ()) if fault.is_for(on, reference)]
        if not possible:
            return None
        self.seen += 1
        if self._random.random() >= self.plan.rate:
            return None
        self.given += 1
        return self._random.choice(possible)


@define
class Armed:
    """What is still to go wrong at one company. `own` are the kinds that only this company has."""

    shape: Shape
    own: tuple[type[Fault], ...] = ()
    _kinds: Mapping[str, type[Fault]] = field(init=False, repr=False)
    _waiting: list[Fault] = field(factory=list, init=False)
    _draws: _Draws | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        every = (*KINDS, *HAPPENINGS, *self.own)
        self._kinds = {str(kind.__struct_config__.tag): kind for kind in every}

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """The faults that were armed one by one, in order."""
        return tuple(self._waiting)

    def add(self, fault: Fault) -> None:
        """Let a fault happen after those that are armed already. Raises Refused when it never could."""
        self._check(fault)
        self._waiting.append(fault)

    def meant_for(self, on: str, reference: str | None) -> Fault | None:
        """The first fault that is meant for this request; else what chance gives it."""
        for fault in self._waiting:
            if fault.is_for(on, reference):
                return fault
        return self._draws.draw(on, reference) if self._draws else None

    def happened(self, fault: Fault) -> None:
        """Use up, once, a fault that was meant for a request. Those that chance gave have nothing left to use up."""
        for place, waiting in enumerate(self._waiting):
            if waiting is fault:
                remaining = fault.used_once()
                self._waiting[place : place + 1] = [] if remaining is None else [remaining]
                return

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._waiting.clear()
        self._draws = None

    def arm(self, content: object) -> None:
        """Arm what JSON asks for: a fault, a list of faults, or `{"random": ...}`; all of it or nothing.

        Raises Refused with a sentence that names the entry of a list.
        """
        if isinstance(content, list):
            for fault in [self._entry(number, entry) for number, entry in enumerate(content, start=1)]:
                self.add(fault)
        elif isinstance(content, dict) and "random" in content:
            self._draws = self._planned(content)
        else:
            self.add(self._read(content))

    def shown(self) -> dict[str, object]:
        """What waits, as JSON."""
        faults = [self._renamed(msgspec.to_builtins(fault)) for fault in self._waiting]
        if self._draws is None:
            return {"faults": faults}
        plan = msgspec.to_builtins(self._draws.plan)
        return {"faults": faults, "random": {**plan, "seen": self._draws.seen, "given": self._draws.given}}

    def _entry(self, number: int, content: object) -> Fault:
        try:
            return self._read(content)
        except Refused as refused:
            raise Refused(f"Entry {number}: {refused}") from refused

    def _read(self, content: object) -> Fault:
        if not isinstance(content, dict):
            raise Refused("A fault is an object with on and fault.")
        fields = with_reference(content, self.shape.reference)
        fault = converted(fields, self._kind(fields))
        self._check(fault)
        return fault

    def _check(self, fault: Fault) -> None:
        possible = fault.possible_on(self.shape)
        if fault.on not in possible:
            kind = fault.__struct_config__.tag
            raise Refused(f"{kind} happens on {', '.join(sorted(possible))}, not on {fault.on}.")
        if fault.reference is not None and fault.on in self.shape.nameless:
            raise Refused(
                f"A request on {fault.on} names no {self.shape.reference}, so a fault on it cannot wait for one."
            )

    def _planned(self, content: Mapping[str, object]) -> _Draws:
        if len(content) > 1:
            raise Refused("Beside random there is nothing else.")
        plan = converted(content["random"], AtRandom)
        known = self.shape.routes | {PAGE}
        routes = sorted(self.shape.routes if plan.on is None else plan.on)
        if unknown := set(routes) - known:
            raise Refused(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.")
        choice: dict[str, list[Fault]] = {on: [] for on in routes}
        for named in self._kinds if plan.kinds is None else plan.kinds:
            fields: Mapping[str, object] = {"fault": named} if isinstance(named, str) else named
            kind = self._kind(fields)
            places = [on for on in routes if on in kind.possible_on(self.shape)]
            if plan.kinds is not None and not places:
                raise Refused(f"{fields['fault']} cannot happen on {' or '.join(routes)}.")
            for on in places:
                choice[on].append(self._read({**kind.at_random(self.shape), **fields, "on": on, "times": 1}))
        return _Draws(plan, choice)

    def _kind(self, fields: Mapping[str, object]) -> type[Fault]:
        name = fields.get("fault")
        if not isinstance(name, str) or name not in self._kinds:
            raise Refused(f"There is no fault {name!r}; there are {', '.join(self._kinds)}.")
        return self._kinds[name]

    def _renamed(self, shown: dict[str, object]) -> dict[str, object]:
        return {self.shape.reference if name == REFERENCE else name: value for name, value in shown.items()}


def with_reference(content: Mapping[str, object], own: str) -> dict[str, object]:
    """The same fields with the company's own word for a payment as `reference`. Raises Refused when both are there."""
    if own != REFERENCE and own in content and REFERENCE in content:
        raise Refused(f"{own} and {REFERENCE} are the same thing: give one of them.")
    return {REFERENCE if name == own else name: value for name, value in content.items()}


def converted(content: object, kind: type[T]) -> T:
    """JSON content as what it should be. Raises Refused with a sentence about what it is instead."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as wrong:
        raise Refused(f"The body is not as it should be: {wrong}.") from wrong
