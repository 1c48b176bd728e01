"""How any answer of Khalti's is read, whatever was asked: strictly as JSON, and with nothing private left in a reason.

Pure. A refused body is never kept: the decoder's own error holds all of it, so it is raised anew without one.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from sewapay.application.errors import KeyRefused, OutcomeUnknown, ProtocolError

__all__ = [
    "LONGEST_WORD",
    "MOST_BYTES",
    "Answer",
    "blotted",
    "complaints",
    "fields_of",
    "matching",
    "require_an_answer",
    "word",
]

# Ours. A documented answer has some 200 bytes.
MOST_BYTES: Final = 64 * 1024

# Our guesses: Khalti documents no lengths.
LONGEST_WORD: Final = 64
_MOST_COMPLAINTS: Final = 5
_LONGEST_COMPLAINT: Final = 120
_LONGEST_VALUE: Final = 2000

# Statuses by which a server says that it did not get to an answer; a body beside them proves nothing.
_NO_ANSWER: Final = frozenset({408, 425, 429})

# Khalti docs for the first two; the others are known to Khalti's Android SDK.
_BESIDE_REASONS: Final = frozenset({"error_key", "status_code", "meta", "error_data"})
# Fields of ours that hold a person's data: that something is wrong with them is told, and what is said is not.
_ABOUT_PERSONS: Final = frozenset({"customer_info", "mobile"})
_PRIVATE: Final = re.compile(r"\"[^\"]*\"|\S*@\S*|\S*[0-9A-Za-z_-]{20,}\S*|[+]?[0-9][0-9 -]{5,}[0-9]")


@frozen(kw_only=True)
class Answer:
    """An HTTP answer as it came, its body whole and not encoded."""

    status: int
    content_type: str
    content: bytes = field(repr=False)


def require_an_answer(answer: Answer) -> None:
    """Raise what 401 means, and what an overloaded or broken server does.

    Khalti docs, "Generic Errors", for 401. The others are HTTP's own; Khalti's Android SDK expects a 503.
    """
    if answer.status == 401:
        raise KeyRefused("Khalti does not accept KHALTI_SECRET_KEY: is it this environment's key?")
    if answer.status in _NO_ANSWER or answer.status >= 500:
        raise OutcomeUnknown(f"Khalti answered HTTP {answer.status}: it could not say what became of the request")


def fields_of(answer: Answer) -> Mapping[str, Any]:
    """The JSON object in a body, or `ProtocolError`.

    Strict where two readers could differ: UTF-8 without a mark, no key twice, no NaN, no number beyond bounds.
    """
    kind, _, parameters = answer.content_type.lower().partition(";")
    is_utf8 = "charset" not in parameters or "utf8" in parameters.replace("-", "")
    if kind.strip() != "application/json" or not is_utf8:
        raise ProtocolError(f"Khalti answered HTTP {answer.status} with something other than JSON")
    if len(answer.content) > MOST_BYTES:
        raise ProtocolError(f"Khalti answered with more than {MOST_BYTES} bytes")
    fields: object = None
    try:
        fields = json.loads(
            answer.content.decode("utf-8"), object_pairs_hook=_each_key_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ProtocolError(f"Khalti answered HTTP {answer.status} with a body that is not a JSON object")
    return fields


def complaints(answer: Answer) -> str:
    """Khalti's short reasons, such as `amount: A valid integer is required.` (Khalti docs, "Error Responses").

    Fields and messages only, few and short; whatever could be a person's or a secret is blotted out, and nothing that
    is said about a person's data is repeated.
    """
    try:
        fields = fields_of(answer)
    except ProtocolError:
        return f"HTTP {answer.status}"
    reasons = []
    for name, value in fields.items():
        messages = [] if name in _ABOUT_PERSONS else _messages(value)
        if name not in _BESIDE_REASONS and (messages or name in _ABOUT_PERSONS):
            reasons.append(": ".join([blotted(name), *messages]))
    return "; ".join(reasons[:_MOST_COMPLAINTS]) or f"HTTP {answer.status}"


def word(value: object) -> str:
    """A word of Khalti's as it may be stored and shown: printable, at most 64 characters; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    return "".join(character for character in value[:_LONGEST_VALUE] if character.isprintable()).strip()[:LONGEST_WORD]


def blotted(text: str) -> str:
    """The text, short and printable, without what could be a key, an address, a number or a name in quotes."""
    printable = "".join(character for character in text[:500] if character.isprintable())
    return _PRIVATE.sub("[...]", printable)[:_LONGEST_COMPLAINT]


def matching(shape: re.Pattern[str], value: object) -> str | None:
    """The value, if it is a text of this shape."""
    return value if isinstance(value, str) and shape.fullmatch(value) else None


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
