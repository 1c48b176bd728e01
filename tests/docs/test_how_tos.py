"""The how-tos, executed: a page's ```python blocks run in order, in one namespace."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOW_TOS = ("docs/test-with-a-fake.md", "docs/conformance-kit.md")


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Each block, and the line of the page that it begins at."""
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        yield text.count("\n", 0, found.start(1)) + 1, found[1]


def run(page: Path) -> dict[str, Any]:
    """The namespace after the last block. An error names the page and its own line there."""
    namespace: dict[str, Any] = {"__name__": page.stem.replace("-", "_")}
    for line, source in blocks(page):
        exec(compile("\n" * (line - 1) + source, str(page), "exec"), namespace)  # noqa: S102 (our own page)
    return namespace


@pytest.mark.parametrize("name", HOW_TOS)
def test_a_how_to_does_what_it_says(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # a .env file of whoever runs this would be read too

    assert run(ROOT / name)


def test_the_kits_page_is_a_test_module_as_well(tmp_path: Path) -> None:
    source = "\n".join(source for _, source in blocks(ROOT / "docs" / "conformance-kit.md"))
    (tmp_path / "test_page.py").write_text(source)
    names = "khalti_keeps and (what_is_paid or all_of_it or a_form_is) or our_store and api_keys"
    plugins = ("-p", "no:sewapay", "-p", "sewapay.testing.plugin", "-p", "no:asyncio", "-p", "no:cacheprovider")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", *plugins, "-k", names],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]},
    )  # fmt: skip

    assert "3 passed, 1 skipped" in done.stdout, done.stdout[-3000:] + done.stderr
    assert "its checkout is a link and no form" in done.stdout


def test_a_wrong_block_is_found_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# How to\n\n```python\none = 1\n```\n\nand\n\n```python\nassert one == 2\n```\n")

    with pytest.raises(AssertionError) as wrong:
        run(page)

    assert wrong.traceback[-1].lineno + 1 == 10
