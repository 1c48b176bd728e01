"""What can go wrong between a merchant and Khalti, as values: one class a kind, sent as JSON to `/_sim/faults`.

A fault waits in the stand-in's list until a request on its route takes it; each request takes the first that is meant
for it, and one only. It is used up by being taken, also when it then changes nothing (a wrong amount in the answer
"Not found."). Kinds that spoil an answer let the request have its effect; kinds that replace it do not, unless
`effect` is true.
"""

import base64
import gzip
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from attrs import evolve, frozen

from sewapay.adapters.khalti.simulator.exchange import Answer, Hangup, Reply, Verbatim, json_reply

MIB: Final = 1024 * 1024

Genuine = Callable[[], Reply]
"""Does what the request asks for and tells the honest answer."""

Times = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=600)]
HttpStatus = Annotated[int, msgspec.Meta(ge=200, le=599)]
HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
HeaderValue = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]*$", max_length=8000)]

EVERYWHERE: Final = frozenset({"initiate", "lookup", "refund"})
ON_INITIATE: Final = frozenset({"initiate"})
ON_LOOKUP: Final = frozenset({"lookup"})


@frozen(kw_only=True)
class Scene:
    """What a fault may need to know about the request: where it came in, and a pidx that was given out before."""

    base_url: str
    earlier_pidx: str | None


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """Something that goes wrong `times` times (None: until reset) on one route, for one pidx if that is given."""

    on: Literal["initiate", "lookup", "refund"]
    times: Times | None = 1
    pidx: str | None = None

    allowed_on: ClassVar[frozenset[str]] = EVERYWHERE

    def __post_init__(self) -> None:
        kind = self.__struct_config__.tag
        if self.on not in self.allowed_on:
            raise ValueError(f"{kind} happens on {', '.join(sorted(self.allowed_on))}, not on {self.on}")
        if self.on == "initiate" and self.pidx is not None:
            raise ValueError("a request to initiate names no pidx, so a fault on it cannot wait for one")

    def used_once(self) -> "Fault | None":
        """What is left of the fault after it has happened once more."""
        if self.times is None:
            return self
        return msgspec.structs.replace(self, times=self.times - 1) if self.times > 1 else None

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """What the client gets to see instead of the honest answer."""
        raise NotImplementedError


class Delay(Fault, tag="delay", frozen=True, kw_only=True):
    """The request has its effect at once; the answer, as of then, leaves after `seconds`."""

    seconds: Seconds

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
        super().__post_init__()
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
        super().__post_init__()
        _octets(self.text, self.base64)

    def replacement(self, scene: Scene) -> Answer:
        """The bytes."""
        return Verbatim(octets=_octets(self.text, self.base64))


class Malformed(Fault, tag="malformed", frozen=True, kw_only=True):
    """The honest answer, cut in the middle of its JSON."""

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The first half of the body."""
        honest = genuine()
        return evolve(honest, body=honest.body[: len(honest.body) // 2])


class Huge(Fault, tag="huge", frozen=True, kw_only=True):
    """The honest answer with a padding of `mib` MiB in it; still JSON."""

    mib: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, far too large."""
        return _changed(genuine(), {"padding": "x" * (self.mib * MIB)})


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

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, slowly."""
        return evolve(genuine(), drip_seconds=self.seconds)


class Missing(Fault, tag="missing", frozen=True, kw_only=True):
    """The honest answer without one of its keys."""

    key: str

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The answer, shorter by a key."""
        honest = genuine()
        content = msgspec.json.decode(honest.body)
        if isinstance(content, dict):
            content.pop(self.key, None)
        return evolve(honest, body=msgspec.json.encode(content))


class Change(Fault, tag="change", frozen=True, kw_only=True):
    """The honest answer with any other `values`: a type that is wrong, claims that contradict each other, a new key."""

    values: dict[str, object]

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for those values."""
        return _changed(genuine(), self.values)


class WrongPidx(Fault, tag="wrong_pidx", frozen=True, kw_only=True):
    """An answer about a pidx that nobody asked about."""

    allowed_on: ClassVar[frozenset[str]] = ON_INITIATE | ON_LOOKUP
    instead: str = "zzzzzzzzzzzzzzzzzzzzzz"

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for its pidx."""
        return _changed(genuine(), {"pidx": self.instead}, only_known=True)


class WrongAmount(Fault, tag="wrong_amount", frozen=True, kw_only=True):
    """A look-up whose total_amount is off by `delta` paisa."""

    allowed_on: ClassVar[frozenset[str]] = ON_LOOKUP
    delta: Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)] = 1

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for its amount."""
        honest = genuine()
        amount = msgspec.json.decode(honest.body).get("total_amount", 0)
        return _changed(honest, {"total_amount": amount + self.delta}, only_known=True)


class StatusWord(Fault, tag="status_word", frozen=True, kw_only=True):
    """A look-up with another status word: odd case, odd spelling, or one that nobody has heard of."""

    allowed_on: ClassVar[frozenset[str]] = ON_LOOKUP
    word: Annotated[str, msgspec.Meta(max_length=1000)]
    status: HttpStatus | None = None

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for its status word, and for its HTTP status when one is given."""
        honest = genuine()
        return evolve(_changed(honest, {"status": self.word}, only_known=True), status=self.status or honest.status)


class Lag(Fault, tag="lag", frozen=True, kw_only=True):
    """A look-up that still says Initiated although the payment has moved on."""

    allowed_on: ClassVar[frozenset[str]] = ON_LOOKUP

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """What the look-up said before anybody paid."""
        honest = genuine()
        if "status" not in msgspec.json.decode(honest.body):
            return honest
        before = {"status": "Initiated", "transaction_id": None, "fee": 0, "refunded": False}
        return evolve(_changed(honest, before), status=200)


class Stale(Fault, tag="stale", frozen=True, kw_only=True):
    """A look-up that still says Completed although money went back."""

    allowed_on: ClassVar[frozenset[str]] = ON_LOOKUP

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """What the look-up said before the refund; honest when there was none."""
        honest = genuine()
        if msgspec.json.decode(honest.body).get("status") not in ("Partially Refunded", "Refunded"):
            return honest
        return _changed(honest, {"status": "Completed", "refunded": False})


class RepeatPidx(Fault, tag="repeat_pidx", frozen=True, kw_only=True):
    """An initiate that answers with a pidx given out before: `known`, or else the latest."""

    allowed_on: ClassVar[frozenset[str]] = ON_INITIATE
    known: str | None = None

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, but about the earlier link; honest when there was none."""
        honest = genuine()
        pidx = self.known or scene.earlier_pidx
        if pidx is None:
            return honest
        return _changed(honest, {"pidx": pidx, "payment_url": f"{scene.base_url}/?pidx={pidx}"}, only_known=True)


class OffDomain(Fault, tag="off_domain", frozen=True, kw_only=True):
    """An initiate whose payment_url leads to somebody else's host."""

    allowed_on: ClassVar[frozenset[str]] = ON_INITIATE
    host: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:@\[\]-]{1,253}$")] = "pay.khalti.example"

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for the link's host."""
        honest = genuine()
        pidx = msgspec.json.decode(honest.body).get("pidx")
        return _changed(honest, {"payment_url": f"https://{self.host}/?pidx={pidx}"}, only_known=True)


AnyFault = (
    Delay
    | DropBefore
    | DropAfter
    | WrongStatus
    | Html
    | Redirect
    | Raw
    | WriteVerbatim
    | Malformed
    | Huge
    | GzipBomb
    | Drip
    | Missing
    | Change
    | WrongPidx
    | WrongAmount
    | StatusWord
    | Lag
    | Stale
    | RepeatPidx
    | OffDomain
)


def _html(status: int, inside: str) -> Reply:
    page = f"<!doctype html><html><head><title>{status}</title></head><body>{inside}</body></html>"
    return Reply(status=status, content_type="text/html; charset=utf-8", body=page.encode())


def _octets(text: str, in_base64: str | None) -> bytes:
    return text.encode() if in_base64 is None else base64.b64decode(in_base64, validate=True)


def _changed(honest: Reply, values: Mapping[str, object], *, only_known: bool = False) -> Reply:
    """The honest answer with other values; with `only_known`, only where it has the key already."""
    content = msgspec.json.decode(honest.body)
    if not isinstance(content, dict):
        return honest
    content |= {key: value for key, value in values.items() if key in content or not only_known}
    return evolve(honest, body=msgspec.json.encode(content))
