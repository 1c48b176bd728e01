"""docs/add-a-gateway.md builds examples/tinypay, runs its tests and takes a payment, step by step as it says."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Final

import pytest

from sewapay.entrypoints.gateway_folder import write_gateway
from tests.backend.system.serving import free_port
from tests.docs.guides import applied, as_script, blocks, changed
from tests.fresh_python import ROOT, TINYPAY, FreshPython
from tests.machine import is_missing

GUIDE: Final = ROOT / "docs" / "add-a-gateway.md"
SERVICE, STAND_IN = "8000", "8910"


@pytest.fixture
def guide() -> str:
    return GUIDE.read_text("utf-8")


def files(folder: Path) -> Mapping[str, str]:
    """Every file of a project by its place, without what running left there."""
    places = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    kept = {place for place in places if not any(part.startswith((".", "__pycache__")) for part in place.parts)}
    return {str(place): (folder / place).read_text("utf-8") for place in kept}


def on_other_ports(guide: str, ports: Mapping[str, int]) -> str:
    for port, other in ports.items():
        guide = guide.replace(f"127.0.0.1:{port}", f"127.0.0.1:{other}").replace(f"--port {port}", f"--port {other}")
    return guide


def test_the_guides_text_is_the_example_byte_for_byte(guide: str, tmp_path: Path) -> None:
    folder = tmp_path / "tinypay"
    write_gateway("tinypay", folder)

    for block in blocks(guide):
        if block.file is not None:
            applied(block, folder)

    assert files(folder) == files(TINYPAY)


def test_whoever_follows_the_guide_gets_a_gateway_that_takes_a_payment(guide: str, tmp_path: Path) -> None:
    if which("curl") is None:
        is_missing("curl", "apt-get install curl")
    fresh = FreshPython.made(tmp_path / "python", ROOT)
    work, notes = tmp_path / "work", tmp_path / "notes"
    work.mkdir()
    notes.mkdir()
    ports = {SERVICE: free_port(), STAND_IN: free_port()}
    script = as_script(on_other_ports(guide, ports), notes, sys.executable)
    where = {"SEWAPAY_PUBLIC_URL": f"http://127.0.0.1:{ports[SERVICE]}"}

    followed = fresh.run("bash", "-c", script, cwd=work, seconds=180, variables=where)

    told = followed.stdout
    assert followed.returncode == 0, told[-3000:] + followed.stderr[-3000:]
    assert "tests/test_contract.py, DOCUMENTED: type every status word that Tinypay documents" in told
    assert re.search(r"^\d+ passed, \d+ skipped in ", told, re.MULTILINE)
    assert re.search(r"^tinypay .* by sewapay-tinypay 0\.1\.0$", told, re.MULTILINE)
    assert files(work / "tinypay") == files(TINYPAY)


def test_a_change_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="not there once"):
        changed("one\ntwo\ntwo\n", "@@\n-two\n+three\n")

    assert changed("one\ntwo\ntwo\n", "@@\n one\n-two\n+three\n") == "one\nthree\ntwo\n"


def test_a_block_of_no_file_is_refused() -> None:
    with pytest.raises(ValueError, match="line 4: a block is of a file"):
        list(blocks("# Page\n\n```python\none = 1\n```\n"))


@pytest.mark.parametrize("commands", ["", "false\ntrue\n", "true\nfalse\n", "false \\\n  again\n"])
def test_a_block_that_has_to_fail_is_one_command(commands: str) -> None:
    with pytest.raises(ValueError, match="line 4: one command has to fail"):
        list(blocks(f"# Page\n\n```sh fails\n{commands}```\n"))


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ("```sh\ntrue\n```\n", 0),
        ("```sh\nfalse\n```\n\n```sh\ntrue\n```\n", 1),
        ("```sh fails\nfalse\n```\n", 0),
        ("```sh fails\ntrue\n```\n", 1),
        ("```sh\nsteps() { false; true; }\n```\n\n```sh fails\nsteps\n```\n", 0),
        ("```sh\nsteps() { true; true; }\n```\n\n```sh fails\nsteps\n```\n", 1),
        ("```sh fails\nfalse | true\n```\n", 0),
        ("```sh fails\nno-such-program\n```\n", 1),
        ("```sh fails\nexit 1\n```\n\n```sh\nfalse\n```\n\n```sh\ntrue\n```\n", 1),
        ("**`note`**\n\n```markdown\nkept\n```\n\n```sh\ngrep -q kept note\n```\n", 0),
        ("**`note`**\n\n```markdown\nkept\n```\n\n**`note`**\n\n```diff\n@@\n-lost\n+found\n```\n", 1),
    ],
)
def test_a_page_is_followed_until_a_step_goes_wrong(page: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    script = as_script(page, tmp_path / "notes", sys.executable)

    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=False)  # noqa: S607

    assert done.returncode == code
