"""Every relative link of every page leads to a file, and to a heading of it when it names one."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def pages() -> list[Path]:
    """The pages that are in the repository or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],  # noqa: S607 (git is on the PATH)
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [ROOT / name for name in listed.stdout.split("\0") if name]
    return sorted({path for path in found or [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if path.is_file()})


def links(page: Path) -> Iterator[str]:
    """Where a page's links and pictures lead; code is no link."""
    text = CODE.sub("", FENCE.sub("", page.read_text("utf-8")))
    return (found[1] for found in LINK.finditer(text))


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings make."""
    text = FENCE.sub("", page.read_text("utf-8"))
    titles = re.findall(r"^#{1,6} +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def missing(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    nowhere = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        target = page.parent / unquote(path) if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in headings(target)):
            nowhere.append(link)
    return nowhere


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert missing(page) == []


def test_no_link_leaves_the_repository() -> None:
    outside = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages()
        for link in links(page)
        if not re.match(r"[a-z][a-z0-9+.-]*:|#", link)
        and not (page.parent / link.partition("#")[0]).resolve().is_relative_to(ROOT)
    ]

    assert outside == []


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One heading\n[good](page.md#one-heading) [bad](other.md) ![bad](picture.png) [bad](#two)\n"
        "`[code](is-no-link.md)`\n\n```sh\n[code](neither.md)\n```\n"
    )

    assert missing(page) == ["other.md", "picture.png", "#two"]
