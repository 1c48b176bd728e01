"""What can be wrong with a request before any use case hears of it.

    SewapayError
    └── RequestError                 the request itself, not what it asks for
        ├── NotSignedIn              no bearer token, or one that is not accepted
        ├── MalformedBody            the body is not JSON
        ├── InvalidFields            a field or query value is missing, unknown, of the wrong type or out of bounds
        ├── BodyTooLarge             more than 64 KiB
        ├── NotJson                  another content type than application/json
        ├── NoSuchAddress            nothing lives at this path
        ├── MethodNotAllowed         something lives there, and does not answer to this method
        ├── TooManyRequests          slower, please
        └── InternalError            a bug of ours; what happened is in the log, not in the answer

Each has its row in `problems.py`, beside those of the core.
"""

from sewapay.domain.errors import SewapayError

__all__ = [
    "BodyTooLarge",
    "InternalError",
    "InvalidFields",
    "MalformedBody",
    "MethodNotAllowed",
    "NoSuchAddress",
    "NotJson",
    "NotSignedIn",
    "RequestError",
    "TooManyRequests",
]


class RequestError(SewapayError):
    """The request could not be taken as it came."""


class NotSignedIn(RequestError):
    """No credentials, or none that are accepted; which of the checks failed stays with us."""

    def __init__(self, why: str = "Authentication credentials were not provided.") -> None:
        super().__init__(why)


class MalformedBody(RequestError):
    """The body is not the JSON object that it should be."""


class InvalidFields(RequestError):
    """A field that is missing, unknown, of the wrong type or out of its bounds."""


class BodyTooLarge(RequestError):
    """A body above the limit; it was read to its end, up to a further limit, so that the answer arrives."""


class NotJson(RequestError):
    """A body of another content type than `application/json`."""


class NoSuchAddress(RequestError):
    """No route."""


class MethodNotAllowed(RequestError):
    """A route that does not take this method; `allow` lists those that it takes."""

    def __init__(self, why: str, *, allow: str = "") -> None:
        super().__init__(why)
        self.allow = allow


class TooManyRequests(RequestError):
    """More requests than are taken at once."""


class InternalError(RequestError):
    """Something that should not happen."""
