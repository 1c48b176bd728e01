"""How any gateway's answer is read, whatever was asked: strictly as JSON, and with nothing private left in a reason.

Pure. A refused body is never kept: the decoder's own error holds all of it, so it is raised anew without one.
`company` is how sentences call whoever answered.
"""

import json
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from attrs import field, frozen

from sewapay.application.errors import KeyRefused, OutcomeUnknown, ProtocolError
from sewapay.application.ports import ReturnMessage

__all__ = [
    "LONGEST_WORD",
    "MOST_BYTES",
    "Answer",
    "Numeral",
    "blotted",
    "complaints",
    "fields_of",
    "matching",
    "only",
    "require_an_answer",
    "word",
]

# Ours. Documented answers have some 200 bytes.
MOST_BYTES: Final = 64 * 1024

# Our guesses: no company documents lengths.
LONGEST_WORD: Final = 64
_MOST_COMPLAINTS: Final = 5
_LONGEST_COMPLAINT: Final = 120
_LONGEST_VALUE: Final = 2000

# Statuses by which a server says that it did not get to an answer; a body beside them proves nothing.
_NO_ANSWER: Final = frozenset({408, 425, 429})

_PRIVATE: Final = re.compile(r"\"[^\"]*\"|\S*@\S*|\S*[0-9A-Za-z_-]{20,}\S*|[+]?[0-9][0-9 -]{5,}[0-9]")


@frozen(kw_only=True)
class Answer:
    """An HTTP answer as it came, its body whole and not encoded."""

    status: int
    content_type: str
    content: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether HTTP says so, by any 2xx."""
        return 200 <= self.status <= 299


class Numeral(str):
    """A JSON number as the text that stood there. It is a text for all but `word`, which tells it from one."""

    __slots__ = ()


def require_an_answer(answer: Answer, company: str, credentials: str) -> None:
    """Raise what 401 means, and what an overloaded or broken server does. HTTP's own meanings, all of them.

    `credentials` names the variable that holds what was not accepted.
    """
    if answer.status == 401:
        raise KeyRefused(f"{company} does not accept {credentials}: is it this environment's key?")
    if answer.status in _NO_ANSWER or answer.status >= 500:
        raise OutcomeUnknown(f"{company} answered HTTP {answer.status}: it could not say what became of the request")


def fields_of(answer: Answer, company: str, *, literal_numbers: bool = False) -> Mapping[str, Any]:
    """The JSON object in a body, or `ProtocolError`.

    Strict where two readers could differ: UTF-8 without a mark, no key twice, no NaN, no number beyond bounds.
    With `literal_numbers` each number arrives as a `Numeral`: for amounts that are written with a point, and for
    signatures over what was written.
    """
    kind, _, parameters = answer.content_type.lower().partition(";")
    is_utf8 = "charset" not in parameters or "utf8" in parameters.replace("-", "")
    if kind.strip() != "application/json" or not is_utf8:
        raise ProtocolError(f"{company} answered HTTP {answer.status} with something other than JSON")
    if len(answer.content) > MOST_BYTES:
        raise ProtocolError(f"{company} answered with more than {MOST_BYTES} bytes")
    number: Callable[[str], str] | None = Numeral if literal_numbers else None
    fields: object = None
    try:
        fields = json.loads(
            answer.content.decode("utf-8"),
            object_pairs_hook=_each_key_once,
            parse_constant=_no_constant,
            parse_float=number,
            parse_int=number,
        )
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ProtocolError(f"{company} answered HTTP {answer.status} with a body that is not a JSON object")
    return fields


def complaints(
    answer: Answer,
    company: str,
    *,
    about_persons: AbstractSet[str] = frozenset(),
    beside: AbstractSet[str] = frozenset(),
) -> str:
    """A company's short reasons, each with its field, such as `amount: A valid integer is required`.

    Fields and messages only, few and short; whatever could be a person's or a secret is blotted out. `about_persons`
    are fields of ours that hold a person's data: that something is wrong with them is told, and what is said is not.
    `beside` are fields that hold no reason.
    """
    try:
        fields = fields_of(answer, company)
    except ProtocolError:
        return f"HTTP {answer.status}"
    reasons = []
    for name, value in fields.items():
        messages = [] if name in about_persons else _messages(value)
        if name not in beside and (messages or name in about_persons):
            reasons.append(": ".join([blotted(name), *messages]))
    return "; ".join(reasons[:_MOST_COMPLAINTS]) or f"HTTP {answer.status}"


def word(value: object) -> str:
    """A company's word as it may be stored and shown: printable, at most 64 characters; empty for what is no text.

    A number is none: `"status": 404` is how many a framework's own error page looks in JSON.
    """
    if not isinstance(value, str) or isinstance(value, Numeral):
        return ""
    return "".join(character for character in value[:_LONGEST_VALUE] if character.isprintable()).strip()[:LONGEST_WORD]


def blotted(text: str) -> str:
    """The text, short and printable, without what could be a key, an address, a number or a name in quotes."""
    printable = "".join(character for character in text[:500] if character.isprintable())
    return _PRIVATE.sub("[...]", printable)[:_LONGEST_COMPLAINT]


def matching(shape: re.Pattern[str], value: object) -> str | None:
    """The value, if it is a text of this shape, or a number that is written so."""
    return str(value) if isinstance(value, str) and shape.fullmatch(value) else None


def only(message: ReturnMessage, name: str) -> str | None:
    """A return's value under this name; None when it is not there, or there with two different values."""
    values = {value for key, value in message.values if key == name}
    return values.pop() if len(values) == 1 else None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once = dict(pairs)
    if len(once) != len(pairs):
        raise ValueError("a key stands twice")
    return once


def _no_constant(_name: str) -> None:
    raise ValueError("not a number")


def _messages(value: object) -> list[str]:
    said = value if isinstance(value, list) else [value]
    return [blotted(message) for message in said[:3] if isinstance(message, str)]
