"""Every error that sewapay raises on purpose has its row, its page and its chapter."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import sewapay
from sewapay.adapters.web.problem_pages import BY_SLUG, as_markdown
from sewapay.adapters.web.problems import PROBLEMS, ProblemKind, problem_of
from sewapay.domain.errors import SewapayError

DOCUMENTED: Final = Path(__file__).resolve().parents[3] / "docs" / "problems.md"
# Never raised themselves: they hold the others together.
GROUPS: Final = {"SewapayError", "DomainError", "ApplicationError", "GatewayError", "RequestError"}


def import_everything() -> None:
    for module in pkgutil.walk_packages(sewapay.__path__, "sewapay."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def errors(of: type[SewapayError] = SewapayError) -> Iterator[type[SewapayError]]:
    for error in of.__subclasses__():
        yield error
        yield from errors(error)


def test_every_error_has_a_row() -> None:
    import_everything()

    without = {error.__name__ for error in errors() if error not in PROBLEMS and error.__module__.startswith("sewapay")}

    assert without - GROUPS == set()


def test_slugs_are_names_of_their_own() -> None:
    assert len(BY_SLUG) == len({kind.slug for kind in PROBLEMS.values()})
    assert [slug for slug in BY_SLUG if not re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)] == []


@pytest.mark.parametrize("kind", BY_SLUG.values(), ids=lambda kind: kind.slug)
def test_a_row_says_what_causes_it_and_what_helps(kind: ProblemKind) -> None:
    assert kind.cause.endswith(".")
    assert kind.cure.endswith(".")
    assert not kind.title.endswith(".")
    assert 400 <= kind.status < 600


@pytest.mark.parametrize("kind", BY_SLUG.values(), ids=lambda kind: kind.slug)
def test_what_is_unavailable_says_when_to_ask_again(kind: ProblemKind) -> None:
    assert kind.retry_after is not None or kind.status not in (429, 503)


def test_an_error_without_a_row_of_its_own_is_its_nearest_kind_and_else_a_bug_of_ours() -> None:
    class Closer(next(iter(PROBLEMS))):  # type: ignore[misc]  # a class made for this test
        pass

    assert problem_of(Closer()) is next(iter(PROBLEMS.values()))
    assert problem_of(ZeroDivisionError()).slug == "internal-error"


def test_the_chapter_in_the_documentation_is_the_table() -> None:
    written = DOCUMENTED.read_text("utf-8")

    assert written == as_markdown(), "make it anew: python -m sewapay.adapters.web.problem_pages > docs/problems.md"
