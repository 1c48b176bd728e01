"""docs/settings.md names every variable that the code reads, with its default, and no other.

A gateway's variables may stand on the gateway's own page instead, `docs/NAME.md`.
"""

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import attrs
import pytest

from sewapay.entrypoints.gateways import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*(f"{name}.md" for name in REGISTRY), "settings.md")
PAGE = "\n".join((ROOT / "docs" / page).read_text("utf-8") for page in PAGES if (ROOT / "docs" / page).exists())
FOR_TESTS = "## Demo and tests"
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| (.*?) \| (.*) \|$", re.MULTILINE)
PREFIXES = ("SEWAPAY", *(name.upper() for name in REGISTRY))
NAME = re.compile(rf"\b(?:{'|'.join(PREFIXES)})_[A-Z][A-Z_]*[A-Z]\b")
SECTION = re.compile(r"^## (?=\S)", re.MULTILINE)


def settings_modules() -> list[ModuleType]:
    """The service's settings, and the `config` of every registered gateway that has one."""
    gateways = [f"{package}.config" for package in REGISTRY.values() if find_spec(f"{package}.config")]
    return [import_module(name) for name in ["sewapay.entrypoints.settings", *gateways]]


def read_by_the_code() -> dict[str, str]:
    """Every variable of every class that is read from the environment, and its default."""
    defaults = {}
    for module in settings_modules():
        for value in vars(module).values():
            prefix = getattr(value, "_prefix", None)
            if isinstance(value, type) and value.__module__ == module.__name__ and prefix is not None:
                for variable in attrs.fields(value):
                    name = f"{prefix}_{variable.name}".upper()
                    defaults[name] = str(variable.metadata["environ_config"].default)
    return defaults


def words_in_strings(path: Path) -> set[str]:
    """The names of variables that stand in a module's texts (messages, docstrings, keys), `__all__` aside."""
    tree = ast.parse(path.read_text("utf-8"))
    exported = {node for top in tree.body if _is_all(top) for node in ast.walk(top)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in exported]
    return {name for text in texts if isinstance(text, str) for name in NAME.findall(text)}


def _is_all(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and "__all__" in ast.dump(statement.targets[0])


def named_in_the_code() -> set[str]:
    return {name for path in (ROOT / "src").rglob("*.py") for name in words_in_strings(path)}


def on_the_page(text: str) -> dict[str, str]:
    return {name: default for name, default, _ in ROW.findall(text)}


def test_every_variable_of_the_code_stands_on_the_page() -> None:
    assert set() == set(read_by_the_code()) - set(on_the_page(PAGE))


def test_the_page_names_no_variable_that_the_code_does_not() -> None:
    for_the_service = on_the_page(PAGE.partition(FOR_TESTS)[0])

    assert set() == set(for_the_service) - named_in_the_code() - set(read_by_the_code())


@pytest.mark.parametrize("gateway", REGISTRY)
def test_each_gateway_has_its_variables_in_one_place(gateway: str) -> None:
    sections = [on_the_page(section) for section in SECTION.split(PAGE)]

    with_it = [names for names in sections if any(name.startswith(f"{gateway.upper()}_") for name in names)]

    assert len(with_it) == 1
    assert [name for name in with_it[0] if not name.startswith(f"{gateway.upper()}_")] == []


@pytest.mark.parametrize(("name", "default"), sorted(read_by_the_code().items()))
def test_the_page_shows_the_default(name: str, default: str) -> None:
    shown = on_the_page(PAGE)[name]

    if default:
        assert f"`{default}`" == shown
    else:
        assert not shown.startswith("`")


def test_every_name_of_a_variable_in_the_code_stands_on_the_page() -> None:
    assert set() == named_in_the_code() - set(on_the_page(PAGE))


def test_what_only_tests_read_stands_in_a_table_of_its_own() -> None:
    read = {"CI", "SEWAPAY_TEST_POSTGRES_URL", "SEWAPAY_TEST_CHROMIUM"}
    sources = [(ROOT / "tests" / name).read_text("utf-8") for name in ("machine.py", "postgres.py", "chromium.py")]

    shown = set(on_the_page(PAGE.partition(FOR_TESTS)[2]))

    assert read <= shown
    assert [name for name in read if not any(name in source for source in sources)] == []


def test_no_other_page_names_a_variable_that_is_not_there() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

    unknown = {
        f"{page.relative_to(ROOT)}: {name}"
        for page in pages
        for name in NAME.findall(page.read_text("utf-8"))
        if name not in on_the_page(PAGE)
    }

    assert set() == unknown
