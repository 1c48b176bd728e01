"""`Idempotency-Key`: a request that is made again has one effect, and gets the first answer, byte for byte.

The answer is made and kept in the transaction of the effect, so a crash leaves either both or neither. Without the
header the same answer is made of the same result, and nothing is kept.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

from litestar import Response
from litestar.params import HeaderParameter
from litestar.serialization import encode_json
from msgspec import Struct

from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.errors import InvalidFields
from sewapay.application.idempotency import AlreadyAnswered, Answer, KeyName, Once

__all__ = ["IdempotencyKey", "answered", "told"]

T = TypeVar("T")

NAME: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
LONGEST_KEY: Final = 255
_KEY: Final = re.compile(rf"[!-~]{{1,{LONGEST_KEY}}}", re.ASCII)

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name=NAME,
        schema_extra={"min_length": 1, "max_length": LONGEST_KEY, "pattern": "^[!-~]+$"},  # read to the letter below
        description="Made again with this key within 24 hours, the request has no second effect, and the same answer.",
    ),
]


def told(body: Struct, *, status: int = 200, location: str | None = None) -> Answer:
    """An answer that says `body`, encoded as every other answer is."""
    headers = {} if location is None else {"Location": location}
    return Answer(status=status, headers=headers, body=encode_json(body))


async def answered(
    request: ApiRequest,
    key: str | None,
    render: Callable[[T], Answer],
    carry_out: Callable[[Once[T] | None], Awaitable[T]],
) -> Response[Any]:
    """The answer to the request: of what `carry_out` did now, or with a known key the one that was given before.

    `render` runs inside a transaction, maybe in another thread and more than once. Raises `InvalidFields` for what
    is no key, or for two of them, `KeyReused`, `StillRunning`, and whatever `carry_out` raises.
    """
    if key is None:
        return _response(render(await carry_out(None)))
    made: list[Answer] = []

    def kept(result: T) -> Answer:
        made.append(render(result))
        return made[-1]

    try:
        await carry_out(Once(name=_name(request, key), fingerprint=await _fingerprint(request), render=kept))
    except AlreadyAnswered as before:
        return _response(before.answer, {REPLAYED: "true"})
    return _response(made[-1])  # of the run that was committed, which is always the last one


def _name(request: ApiRequest, key: str) -> KeyName:
    given = sum(name == NAME.lower().encode() for name, _ in request.scope["headers"])
    if given > 1 or not _KEY.fullmatch(key):
        raise InvalidFields(f"{NAME}: one, of 1 to {LONGEST_KEY} visible ASCII characters")
    return KeyName(principal=request.user.actor, operation=_operation(request), key=key)


async def _fingerprint(request: ApiRequest) -> str:
    return hashlib.sha256(f"{_operation(request)}\n".encode("utf-8", "replace") + await request.body()).hexdigest()


def _operation(request: ApiRequest) -> str:
    """Method and path, with the ids in it; the slash at its end is optional everywhere."""
    return f"{request.scope['method']} /{request.scope['path'].strip('/')}"


def _response(answer: Answer, more: dict[str, str] | None = None) -> Response[Any]:
    return Response(answer.body, status_code=answer.status, headers={**answer.headers, **(more or {})})
