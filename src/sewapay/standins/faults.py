"""What can go wrong between a merchant and a company, as values: one class a kind, sent as JSON to `/_sim/faults`.

A fault waits in the stand-in's list until a request on its route takes it; each request takes the first that is meant
for it, and one only. Kinds that spoil an answer let the request have its effect; one that finds nothing to change in it
(a wrong amount in the answer "Not found.") is not used up and waits on, so that it can be seen that it never happened.
Kinds that replace an answer let nothing happen, unless `effect` is true. How a company lays its answers out is told by
its `Shape`; its own kinds are further classes.
"""

import base64
import gzip
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from attrs import evolve

from sewapay.standins.exchange import Answer, Hangup, Reply, Verbatim, changed, content_of, html_reply, json_reply
from sewapay.standins.shape import Genuine, Scene, Shape

MIB: Final = 1024 * 1024
Times = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=600)]
HttpStatus = Annotated[int, msgspec.Meta(ge=200, le=599)]
HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
HeaderValue = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]*$", max_length=8000)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """Something that goes wrong `times` times (None: until reset) on one route, for one payment if that is given."""

    on: str
    times: Times | None = 1
    reference: str | None = None

    @classmethod
    def possible_on(cls, shape: Shape) -> frozenset[str]:
        """The routes of this company on which it can happen."""
        return shape.routes

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """The parameters that it gets when only its kind was named, for faults at random."""
        return {}

    def is_for(self, on: str, reference: str | None) -> bool:
        """Whether it is meant for a request on this route about this payment."""
        return self.on == on and self.reference in (None, reference)

    def used_once(self) -> "Fault | None":
        """What is left of the fault after it has happened once more."""
        if self.times is None:
            return self
        return msgspec.structs.replace(self, times=self.times - 1) if self.times > 1 else None

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """What the client gets to see instead of the honest answer."""
        raise NotImplementedError


class Spoiler(Fault, frozen=True, kw_only=True):
    """A fault that changes something in the honest answer. It happens where there is something to change."""


class OfALookUp(Spoiler, frozen=True, kw_only=True):
    """A fault that only a look-up can have."""

    @classmethod
    def possible_on(cls, shape: Shape) -> frozenset[str]:
        """The look-up."""
        return frozenset({shape.look_up})


class Delay(Fault, tag="delay", frozen=True, kw_only=True):
    """The request has its effect at once; the answer, as of then, leaves after `seconds`."""

    seconds: Seconds

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """A moment."""
        return {"seconds": 0.5}

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, late."""
        return evolve(genuine(), wait_seconds=self.seconds)


class DropBefore(Fault, tag="drop_before", frozen=True, kw_only=True):
    """The connection closes before the request has any effect."""

    reset: bool = False

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """Nothing at all, and nothing happened."""
        return Hangup(reset=self.reset)


class DropAfter(Fault, tag="drop_after", frozen=True, kw_only=True):
    """The request has its effect, then the connection closes without an answer."""

    reset: bool = False

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """Nothing at all, but it happened."""
        genuine()
        return Hangup(reset=self.reset)


class Replacement(Fault, frozen=True, kw_only=True):
    """An answer that has nothing to do with the request, which has its effect only when `effect` is true."""

    effect: bool = False

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The replacement."""
        if self.effect:
            genuine()
        return self.replacement(scene)

    def replacement(self, scene: Scene) -> Answer:
        """What stands in the honest answer's place."""
        raise NotImplementedError


class WrongStatus(Replacement, tag="status", frozen=True, kw_only=True):
    """An HTTP error such as 429, 500 or 503, its body JSON or a proxy's HTML."""

    status: HttpStatus
    body: Literal["json", "html"] = "json"

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """Away for a while."""
        return {"status": 503}

    def replacement(self, scene: Scene) -> Answer:
        """An error page or an error object."""
        if self.body == "html":
            return _html(self.status, f"<h1>{self.status}</h1><p>The upstream server could not answer.</p>")
        return json_reply(self.status, {"detail": "Service temporarily unavailable.", "status_code": self.status})


class Html(Replacement, tag="html", frozen=True, kw_only=True):
    """HTTP 200 with a page instead of JSON, as a captive portal or a maintenance notice gives."""

    def replacement(self, scene: Scene) -> Answer:
        """A maintenance notice."""
        return _html(200, "<h1>Scheduled maintenance</h1><p>We will be back soon.</p>")


class Redirect(Replacement, tag="redirect", frozen=True, kw_only=True):
    """A redirect where an answer should be; without `location`, to another path of the stand-in."""

    status: Literal[301, 302, 303, 307, 308] = 302
    location: HeaderValue | None = None

    def replacement(self, scene: Scene) -> Answer:
        """Go somewhere else."""
        return Reply(status=self.status, headers=(("location", self.location or f"{scene.base_url}/elsewhere/"),))


class Raw(Replacement, tag="raw", frozen=True, kw_only=True):
    """Any status, headers and body; `body_base64` is for bytes that are no UTF-8. The length is ours to count."""

    status: HttpStatus = 200
    headers: list[tuple[HeaderName, HeaderValue]] = []
    body: str = ""
    body_base64: str | None = None

    def __post_init__(self) -> None:
        _octets(self.body, self.body_base64)
        if {name.lower() for name, _ in self.headers} & {"content-length", "transfer-encoding"}:
            raise ValueError("raw counts its own length; to lie about it use verbatim")

    def replacement(self, scene: Scene) -> Answer:
        """Exactly what was asked for, as JSON unless the headers say otherwise."""
        named = {name.lower() for name, _ in self.headers}
        return Reply(
            status=self.status,
            content_type="" if "content-type" in named else "application/json",
            headers=tuple(self.headers),
            body=_octets(self.body, self.body_base64),
        )


class WriteVerbatim(Replacement, tag="verbatim", frozen=True, kw_only=True):
    """Bytes on the connection that need not be HTTP: a bad status line, a length that lies. Then it closes."""

    text: str = ""
    base64: str | None = None

    def __post_init__(self) -> None:
        _octets(self.text, self.base64)

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """A bad status line."""
        return {"text": "HTTP/9 nonsense\r\n\r\n"}

    def replacement(self, scene: Scene) -> Answer:
        """The bytes."""
        return Verbatim(octets=_octets(self.text, self.base64))


class Malformed(Fault, tag="malformed", frozen=True, kw_only=True):
    """The honest answer, cut in the middle."""

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The first half of the body."""
        honest = genuine()
        return evolve(honest, body=honest.body[: len(honest.body) // 2])


class Huge(Fault, tag="huge", frozen=True, kw_only=True):
    """The honest answer with a padding of `mib` MiB in it; what was JSON still is."""

    mib: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, far too large."""
        honest, padding = genuine(), "x" * (self.mib * MIB)
        if not content_of(honest):
            return evolve(honest, body=honest.body + padding.encode())
        return changed(honest, {"padding": padding}, only_known=False)


class GzipBomb(Fault, tag="gzip_bomb", frozen=True, kw_only=True):
    """The honest answer after `mib` MiB of blanks, compressed: small on the wire, large once inflated."""

    mib: Annotated[int, msgspec.Meta(ge=1, le=128)] = 16

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """A body that says `Content-Encoding: gzip`, whether or not the client asked for it."""
        honest = genuine()
        packed = gzip.compress(b" " * (self.mib * MIB) + honest.body, compresslevel=6, mtime=0)
        return evolve(honest, body=packed, headers=(*honest.headers, ("content-encoding", "gzip")))


class Drip(Fault, tag="drip", frozen=True, kw_only=True):
    """The honest answer, one byte every `seconds`."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=60)]

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """Slow, but not for ever."""
        return {"seconds": 0.005}

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, slowly."""
        return evolve(genuine(), drip_seconds=self.seconds)


class Missing(Spoiler, tag="missing", frozen=True, kw_only=True):
    """The honest answer without one of its keys."""

    key: str

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """The key that everybody reads first."""
        return {"key": shape.status}

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The answer, shorter by a key."""
        return changed(genuine(), {self.key: msgspec.UNSET})


class Change(Spoiler, tag="change", frozen=True, kw_only=True):
    """The honest answer with any other `values`: a type that is wrong, claims that contradict each other, a new key.

    With `twice` the honest ones stand there too, further on: as of two values under one key most readers take the last.
    """

    values: dict[str, object]
    twice: bool = False

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """A key that nobody has heard of."""
        return {"values": {"unheard_of": True}}

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for those values, or with them before its own."""
        honest = genuine()
        if self.twice and self.values and content_of(honest):
            return evolve(honest, body=msgspec.json.encode(self.values)[:-1] + b"," + honest.body.lstrip()[1:])
        return changed(honest, self.values, only_known=False)


class WrongReference(Spoiler, tag="wrong_reference", frozen=True, kw_only=True):
    """An answer about a payment that nobody asked about."""

    instead: str | None = None

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for the name of its payment."""
        instead = scene.shape.stranger if self.instead is None else self.instead
        return changed(genuine(), {scene.shape.told_as or scene.shape.reference: instead})


class WrongAmount(OfALookUp, tag="wrong_amount", frozen=True, kw_only=True):
    """A look-up whose amount is off by `delta` paisa."""

    delta: Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)] = 1

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for its amount."""
        honest, key = genuine(), scene.shape.amount
        content = content_of(honest)
        if key not in content:
            return honest
        return changed(honest, {key: scene.shape.amount_moved(content[key], self.delta)})


class StatusWord(OfALookUp, tag="status_word", frozen=True, kw_only=True):
    """A look-up with another status word: odd case, odd spelling, or one that nobody has heard of."""

    word: Annotated[str, msgspec.Meta(max_length=1000)]
    status: HttpStatus | None = None

    @classmethod
    def at_random(cls, shape: Shape) -> Mapping[str, object]:
        """A word that nobody has heard of."""
        return {"word": "Unheard of"}

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for its status word, and for its HTTP status when one is given."""
        honest = genuine()
        if scene.shape.status not in content_of(honest):
            return honest
        return evolve(changed(honest, {scene.shape.status: self.word}), status=self.status or honest.status)


class Lag(OfALookUp, tag="lag", frozen=True, kw_only=True):
    """A look-up that still says that nobody has paid, although the payment has moved on."""

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """What the look-up said before anybody paid."""
        honest = genuine()
        if scene.shape.status not in content_of(honest):
            return honest
        return evolve(changed(honest, scene.shape.unpaid), status=200)


class Stale(OfALookUp, tag="stale", frozen=True, kw_only=True):
    """A look-up that still says that the money is there, although it went back."""

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """What the look-up said before the refund; honest when there was none."""
        honest = genuine()
        if content_of(honest).get(scene.shape.status) not in scene.shape.given_back:
            return honest
        return changed(honest, scene.shape.before_giving_back)


KINDS: Final[tuple[type[Fault], ...]] = (
    *(Delay, DropBefore, DropAfter, WrongStatus, Html, Redirect, Raw, WriteVerbatim, Malformed, Huge, GzipBomb, Drip),
    *(Missing, Change, WrongReference, WrongAmount, StatusWord, Lag, Stale),
)
"""What can go wrong with any company."""


def _html(status: int, inside: str) -> Reply:
    return html_reply(status, f"<!doctype html><html><head><title>{status}</title></head><body>{inside}</body></html>")


def _octets(text: str, in_base64: str | None) -> bytes:
    return text.encode() if in_base64 is None else base64.b64decode(in_base64, validate=True)
