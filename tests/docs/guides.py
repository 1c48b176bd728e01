"""A page that builds something: its blocks of files, of changes to files and of shell commands, in their order.

    python tests/docs/guides.py change FILE CHANGES    changes a file as a `diff` block says

A block is a file's text when the line above it names the file in bold code: **`src/tinypay/config.py`**. A `diff` block
changes that file instead: each part after `@@` is found there once, and lines with a minus go and lines with a plus
come. Shell commands are ```sh blocks. One of ```sh fails is a single command on one line, which runs and fails.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

_BLOCK: Final = re.compile(
    r"(?:^\*\*`(?P<file>[^`\n]+)`\*\*\n\n)?"
    r"^(?P<fence>`{3,})(?P<kind>[a-z]+)(?P<aside> [a-z]+)?\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@frozen(kw_only=True)
class Block:
    """One block of a page. `file` is what it is the text of, or what it changes; None for commands."""

    line: int
    kind: str
    text: str
    file: str | None = None
    must_fail: bool = False


def blocks(page: str) -> Iterator[Block]:
    """Each block that says what to do.

    Raises `ValueError` for one that is neither shell nor of a named file, and for more than one command that has to
    fail: nobody could see which of them did.
    """
    for found in _BLOCK.finditer(page):
        line = page.count("\n", 0, found.start("text")) + 1
        block = Block(
            line=line,
            kind=found["kind"],
            text=found["text"],
            file=found["file"],
            must_fail=found["aside"] == " fails",
        )
        if (block.file is None) is not (block.kind == "sh"):
            raise ValueError(f"line {line}: a block is of a file that is named above it, or shell")
        if block.must_fail and block.text.count("\n") != 1:
            raise ValueError(f"line {line}: one command has to fail in a block, and it is on one line")
        yield block


def changed(text: str, changes: str) -> str:
    """The text after the changes of a `diff` block. Raises `ValueError` when a part is not there exactly once."""
    for part in re.split(r"^@@\n", changes, flags=re.MULTILINE)[1:]:
        lines = [line or " " for line in part.splitlines()]
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
        if text.count(before) != 1:
            raise ValueError(f"this is not there once:\n{before}")
        text = text.replace(before, after)
    return text


def applied(block: Block, folder: Path) -> None:
    """Do in this folder what a block of a file says."""
    assert block.file is not None
    path = folder / block.file
    path.write_text(changed(path.read_text("utf-8"), block.text) if block.kind == "diff" else block.text, "utf-8")


def as_script(page: str, notes: Path, python: str) -> str:
    """All of a page as one shell script, which ends at the first step that does not do what the page says.

    `notes` is a folder for what it needs to have at hand, `python` what runs this module.
    """
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"]
    for number, block in enumerate(blocks(page)):
        lines.append(f"echo '== line {block.line}'")
        if block.file is None:
            lines.append(_failing(block) if block.must_fail else block.text)
            continue
        note = notes / str(number)
        note.write_text(block.text, "utf-8")
        file = shlex.quote(block.file)
        if block.kind == "diff":
            lines.append(f"{shlex.quote(python)} {shlex.quote(__file__)} change {file} {note}")
        else:
            lines.append(f"cp {note} {file}")
    return "\n".join(lines)


def _failing(block: Block) -> str:
    """The commands that run the block's own and end the script unless it ran and failed.

    It runs outside of every condition, since bash ignores `set -e` inside of one. 126 and 127 mean that nothing ran.
    """
    return (
        f"set +e\n(\nset -e\n{block.text})\nfailed=$?\nset -e\n"
        f"case $failed in 0 | 126 | 127) echo 'line {block.line} did not run and fail'; exit 1 ;; esac"
    )


if __name__ == "__main__":
    _, _, file, note = sys.argv
    Path(file).write_text(changed(Path(file).read_text("utf-8"), Path(note).read_text("utf-8")), "utf-8")
