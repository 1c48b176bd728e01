"""The kit as another project uses it: plain tests that ask for `gateway_check` or `store_check`."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from sewapay.testing.kit import CHECKS
from sewapay.testing.stores.contract import CLAUSES

ROOT: Final = Path(__file__).resolve().parents[3]

TINYPAY: Final = """
from attrs import evolve
from sewapay.domain.money import Money
from tests.backend.contracts.stages.fake import stage

class CountsInRupees:
    def __init__(self, good):
        self.good = good

    def __getattr__(self, name):
        return getattr(self.good, name)

    async def look_up(self, order):
        seen = await self.good.look_up(order)
        return evolve(seen, amount=Money(seen.amount.paisa // 100))

def test_tinypay_keeps_the_contract(gateway_check):
    gateway_check(stage)

def test_a_broken_tinypay_does_not(gateway_check):
    gateway_check(lambda: stage(CountsInRupees))
"""

STORE: Final = """
from contextlib import asynccontextmanager
from sewapay.testing.fakes import MemoryStore

@asynccontextmanager
async def store():
    made = MemoryStore()
    await made.open()
    yield made
    await made.close()

def test_our_store_keeps_the_contract(store_check):
    store_check(store)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with tests, and sewapay installed as far as pytest looks: its entry points, as they are declared."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "site" / "sewapay_of_this_tree-0.1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: sewapay-of-this-tree\nVersion: 0.1.0\n")
    lines = "".join(f"{name} = {module}\n" for name, module in declared.items())
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{lines}")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\naddopts = -p no:asyncio -p no:cacheprovider\n"
    )
    (folder / "test_tinypay.py").write_text(TINYPAY)
    (folder / "test_store.py").write_text(STORE)
    return folder


def run(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", *arguments],
        cwd=project, capture_output=True, text=True, check=False, timeout=120,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{project.parent / 'site'}:{ROOT}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_another_projects_gateway_is_put_through_every_check_by_its_name(project: Path) -> None:
    told = run(project, "test_tinypay.py", "--collect-only")

    assert [name for name in CHECKS if f"test_tinypay_keeps_the_contract[{name}]" not in told] == []


def test_what_a_gateway_does_not_do_is_passed_over_with_its_reason(project: Path) -> None:
    told = run(project, "test_tinypay.py", "-k", "keeps_the_contract and (signed or form or capabilities or redirect)")

    assert "its returns are not signed" in told
    assert "its company does not answer over HTTP" in told
    assert "passed" in told
    assert "failed" not in told


def test_a_broken_gateway_of_another_project_is_red_and_shows_why(project: Path) -> None:
    told = run(project, "test_tinypay.py", "-k", "a_broken_tinypay and what_is_paid_is_seen_exactly")

    assert "1 failed" in told
    assert "assert Money(paisa=1130) == Money(paisa=113001)" in told


def test_another_projects_store_is_put_through_every_clause(project: Path) -> None:
    listed = run(project, "test_store.py", "--collect-only")
    told = run(project, "test_store.py", "-k", "bare or lists or keys")

    assert [name for name in CLAUSES if f"test_our_store_keeps_the_contract[{name}]" not in listed] == []
    assert "passed" in told
    assert "failed" not in told


def test_the_plugin_costs_nothing_where_nobody_asks_for_it() -> None:
    program = "import sys, sewapay.testing.plugin; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "src")},
    )

    loaded = done.stdout.split()
    assert [name for name in loaded if name.startswith("sewapay.")] == ["sewapay.testing", "sewapay.testing.plugin"]
    assert {"hypothesis", "httpx", "attrs", "aiohttp", "litestar", "sqlalchemy"}.isdisjoint(loaded)


def test_each_check_says_in_a_sentence_what_it_guards() -> None:
    assert [name for name, one in CHECKS.items() if not (one.guards[:1].isupper() and one.guards[-1:] == ".")] == []
