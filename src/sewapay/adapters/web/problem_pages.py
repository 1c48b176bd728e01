"""`/problems/`: the pages that a problem document's `type` leads to, and the same as a chapter of the documentation."""

from typing import Final

from litestar import Response, Router, get
from litestar.params import FromPath

from sewapay.adapters.web.errors import NoSuchAddress
from sewapay.adapters.web.languages import Language
from sewapay.adapters.web.pages import Pages
from sewapay.adapters.web.problems import PROBLEMS, ProblemKind

__all__ = ["BY_SLUG", "as_markdown", "problem_routes"]

BY_SLUG: Final[dict[str, ProblemKind]] = {
    kind.slug: kind for kind in sorted(PROBLEMS.values(), key=lambda kind: kind.slug)
}


def problem_routes(pages: Pages) -> Router:
    """The list, and a page for each. They are in English, like the documents that lead to them."""

    @get("/", include_in_schema=False, sync_to_thread=False)
    def list_problems() -> Response[str]:
        """Every kind of problem."""
        return pages.show("problems.html", Language.ENGLISH, kinds=list(BY_SLUG.values()))

    @get("/{slug:str}", include_in_schema=False, sync_to_thread=False)
    def show_problem(slug: FromPath[str]) -> Response[str]:
        """One of them: cause and cure."""
        if slug not in BY_SLUG:
            raise NoSuchAddress("there is no such problem")
        return pages.show("problem.html", Language.ENGLISH, kind=BY_SLUG[slug])

    return Router("/problems", route_handlers=[list_problems, show_problem])


def as_markdown() -> str:
    """`docs/problems.md`, whole."""
    chapters = [
        f"## {kind.slug}\n\n**{kind.status}** {kind.title}.\n\n"
        + (f"May be sent again after `Retry-After` ({kind.retry_after} s).\n\n" if kind.retry_after else "")
        + f"*Cause.* {kind.cause}\n\n*What helps.* {kind.cure}\n"
        for kind in BY_SLUG.values()
    ]
    return "\n".join([_INTRODUCTION, *chapters])


_INTRODUCTION: Final = """# Problems

Every error of `/v1` is an `application/problem+json` document (RFC 9457):

    {
      "type": "https://pay.example/problems/booking-already-paid",
      "title": "The booking is already paid",
      "status": 409,
      "detail": "booking 123 is already paid: nothing is left to pay",
      "instance": "/v1/payments",
      "request_id": "5f0c6a2e9b7d4c1f8a3e2b6d"
    }

`type` is stable: tell problems apart by it. It is also the address of a page of your own service that says what stands
here. `detail` is a sentence about this one request; `request_id` finds it in the log. A refused request changed
nothing.

The two addresses of the Khalti guide answer in the guide's own shape instead: `{"error": "..."}`, and
`{"detail": "..."}` for 401. There a 422 becomes a 400, and every gateway error a 503.

This page is made from the table in `src/sewapay/adapters/web/problems.py`; a test compares the two. To make it anew:

    python -m sewapay.adapters.web.problem_pages > docs/problems.md
"""

if __name__ == "__main__":
    print(as_markdown(), end="")  # the one thing that this prints is a page of the documentation
