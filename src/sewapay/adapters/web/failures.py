"""From an exception to an answer: a problem document for `/v1`, the guide's envelopes for its URLs, a page for people.

One function does it for every route and for requests that match none. A bug answers 500 without a word about itself;
what it was goes to the log, without its message, which may hold what somebody sent.
"""

import traceback
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import UNSET

from sewapay.adapters.web.access_log import request_id_of
from sewapay.adapters.web.body import text_of_header
from sewapay.adapters.web.errors import (
    BodyTooLarge,
    InternalError,
    InvalidFields,
    MalformedBody,
    MethodNotAllowed,
    NoSuchAddress,
    NotSignedIn,
    TooManyRequests,
)
from sewapay.adapters.web.languages import language_of
from sewapay.adapters.web.pages import Pages
from sewapay.adapters.web.problems import ProblemKind, problem_of
from sewapay.adapters.web.schemas import GuideDetail, GuideError, Problem
from sewapay.application.errors import GatewayError, NotTheReviewedVersion, StillRunning, StoreUnavailable
from sewapay.domain.errors import SewapayError

__all__ = ["Failures", "note_gateway_failure"]

GUIDE: Final = "/api/"
LONGEST_SENTENCE: Final = 300
_FOR_PEOPLE: Final = ("/pay", "/return", "/problems", "/static")
_LOG: Any = structlog.get_logger("sewapay.web")
_OF_STATUS: Final[dict[int, type[SewapayError]]] = {
    400: MalformedBody,
    401: NotSignedIn,
    404: NoSuchAddress,
    413: BodyTooLarge,
    422: InvalidFields,
    429: TooManyRequests,
}
_SAID: Final = {
    400: "the request could not be read",
    404: "nothing lives at this address",
    413: "the request is too large",
    429: "too many requests: wait a moment",
}


class Failures:
    """Answers whatever was raised, in the way of the URL that was asked for."""

    def __init__(self, pages: Pages, public_url: str) -> None:
        self._pages = pages
        self._public_url = public_url

    def __call__(self, request: Request[Any, Any, Any], raised: Exception) -> Response[Any]:
        """The answer. Whatever is not one of our errors is logged as a bug, if it is not a plain HTTP error."""
        error = _ours(request, raised)
        kind = problem_of(error)
        if isinstance(error, GatewayError):
            note_gateway_failure(request, error)
        elif kind.status >= 500:
            _log(request, raised, kind)
        path = request.scope["path"]
        if path.startswith(GUIDE):
            return _for_the_guide(error, kind)
        if path.startswith(_FOR_PEOPLE):
            return self._page(request, error, kind)
        return self._problem(request, error, kind)

    def _problem(self, request: Request[Any, Any, Any], error: SewapayError, kind: ProblemKind) -> Response[Problem]:
        body = Problem(
            type=f"{self._public_url}/problems/{kind.slug}",
            title=kind.title,
            status=kind.status,
            detail=str(error) or kind.cause,
            instance=request.scope["path"],
            request_id=request_id_of(request.scope),
            version=error.version if isinstance(error, NotTheReviewedVersion) else UNSET,
        )
        return Response(
            body, status_code=kind.status, media_type="application/problem+json", headers=_headers(error, kind)
        )

    def _page(self, request: Request[Any, Any, Any], error: SewapayError, kind: ProblemKind) -> Response[str]:
        language = language_of(text_of_header(request.scope, b"accept-language"))
        if isinstance(error, StoreUnavailable):
            return self._pages.state("unavailable", language, status=503, refresh=kind.retry_after, reload="")
        state = {404: "not_found", 405: "not_found"}.get(kind.status, "bad_request")
        return self._pages.state("went_wrong" if kind.status >= 500 else state, language, status=kind.status)


def note_gateway_failure(request: Request[Any, Any, Any], error: GatewayError) -> None:
    """Tell the operator what a gateway did; its error's sentence holds no secret and nothing of a person."""
    _LOG.warning(
        "gateway failed",
        problem=problem_of(error).slug,
        said=str(error)[:LONGEST_SENTENCE],
        request_id=request_id_of(request.scope),
    )


def _ours(request: Request[Any, Any, Any], raised: Exception) -> SewapayError:
    """Litestar's errors in our words; everything that neither raised on purpose is a bug."""
    if isinstance(raised, SewapayError):
        return raised
    if isinstance(raised, ValidationException):
        return InvalidFields(_fields(raised))
    if isinstance(raised, HTTPException):
        if raised.status_code == 405:
            allow = (raised.headers or {}).get("allow", "")
            return MethodNotAllowed(f'Method "{request.scope["method"]}" not allowed.', allow=allow)
        if raised.status_code in _OF_STATUS:
            return _OF_STATUS[raised.status_code](_SAID.get(raised.status_code, "the request was refused"))
    return InternalError("something went wrong here; the log holds it, under this request_id")


def _fields(raised: ValidationException) -> str:
    extra = raised.extra if isinstance(raised.extra, list) else []
    said = [f"{item['key']}: {item['message']}" for item in extra if isinstance(item, dict) and "key" in item]
    return "; ".join(said) or "a value in the query is not what it should be"


def _headers(error: SewapayError, kind: ProblemKind) -> dict[str, str]:
    headers = {} if kind.retry_after is None else {"Retry-After": str(kind.retry_after)}
    if isinstance(error, StillRunning):
        headers["Retry-After"] = str(error.retry_after)
    if kind.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="sewapay"'
    if isinstance(error, MethodNotAllowed):
        methods = {method.strip() for method in error.allow.split(",") if method.strip()}
        headers["Allow"] = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    return headers


def _for_the_guide(error: SewapayError, kind: ProblemKind) -> Response[Any]:
    """The envelopes that the guide's front end reads. It shows nothing of a 5xx, and retries after `Retry-After`."""
    status = 400 if kind.status == 422 else kind.status
    if isinstance(error, GatewayError):
        status = 503
    headers = _headers(error, kind)
    if status == 503:
        headers.setdefault("Retry-After", "10")
    said = str(error)
    body = GuideDetail(said) if status in (401, 405) else GuideError(said[:1].upper() + said[1:])
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _log(request: Request[Any, Any, Any], raised: Exception, kind: ProblemKind) -> None:
    cause = raised.__cause__ or raised.__context__
    _LOG.error(
        "request failed",
        problem=kind.slug,
        error=type(raised).__qualname__,
        caused_by=type(cause).__qualname__ if cause else None,
        where=[f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(raised.__traceback__)[-8:]],
        path=request.scope["path"],
        request_id=request_id_of(request.scope),
    )
