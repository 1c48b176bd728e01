"""The import contracts hold, and each of them bites when a bad import is planted in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

LAYERS = "Imports point down only"
ADAPTERS = "Adapters do not know each other"
CORE = "The core does no I/O and knows no framework"
PROTOCOLS = "A gateway's protocol is pure"
SIMULATORS = "A stand-in shares no code with what it tests"
STANDINS = "A stand-in's parts know nothing of ours"
CONTRACTS = (LAYERS, ADAPTERS, CORE, PROTOCOLS, SIMULATORS, STANDINS)

FORBIDDEN_IN_THE_CORE = (
    *("litestar", "httpx", "sqlalchemy", "dependency_injector", "msgspec"),
    *("os", "asyncio", "random", "socket", "greenlet"),
)

# contract, the module with the bad import, what it imports
PLANTED = (
    (LAYERS, "domain.planted_up", "sewapay.application"),
    (LAYERS, "domain.planted_far_up", "sewapay.entrypoints"),
    (LAYERS, "application.planted_up", "sewapay.adapters.sql"),
    (LAYERS, "adapters.web.planted_up", "sewapay.entrypoints"),
    (LAYERS, "application.planted_wire", "sewapay.wire"),
    (LAYERS, "wire.planted_up", "sewapay.adapters.khalti"),
    (LAYERS, "wire.planted_aside", "sewapay.standins"),
    (ADAPTERS, "adapters.web.planted_aside", "sewapay.adapters.khalti"),
    (ADAPTERS, "adapters.khalti.planted_aside", "sewapay.adapters.sql"),
    (ADAPTERS, "adapters.planted_module", "sewapay.adapters.memory"),
    (PROTOCOLS, "adapters.planted_a.protocol", "httpx"),
    (PROTOCOLS, "adapters.planted_b.protocol", "litestar"),
    (PROTOCOLS, "adapters.planted_c.protocol", "sqlalchemy"),
    (PROTOCOLS, "adapters.planted_d.protocol", "asyncio"),
    (PROTOCOLS, "adapters.planted_e.protocol", "sewapay.wire.calls"),
    (SIMULATORS, "adapters.planted_a.simulator", "sewapay.adapters.planted_a.protocol"),
    (SIMULATORS, "adapters.planted_b.simulator", "sewapay.adapters.planted_b.gateway"),
    (SIMULATORS, "adapters.planted_c.simulator", "sewapay.domain"),
    (SIMULATORS, "adapters.planted_d.simulator", "sewapay.application"),
    (SIMULATORS, "adapters.planted_e.simulator.pages", "sewapay.domain"),
    (SIMULATORS, "adapters.planted_f.simulator", "sewapay.wire"),
    (STANDINS, "standins.planted_application", "sewapay.application"),
    (STANDINS, "standins.planted_domain", "sewapay.domain"),
    (STANDINS, "standins.planted_adapters", "sewapay.adapters.khalti"),
    (STANDINS, "standins.planted_wire", "sewapay.wire"),
    *((CORE, f"domain.planted_{name}", name) for name in FORBIDDEN_IN_THE_CORE),
    *((CORE, f"application.planted_{name}", name) for name in FORBIDDEN_IN_THE_CORE),
)


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """What lint-imports says about the package under this root."""
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root / "src"), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def copy_of_the_package(root: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", root)
    source = root / "src" / "sewapay"
    shutil.copytree(ROOT / "src" / "sewapay", source, ignore=shutil.ignore_patterns("__pycache__"))
    return source


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Everything planted at once, looked at once: what is said about each contract that broke."""
    root = tmp_path_factory.mktemp("planted")
    source = copy_of_the_package(root)
    for _, module, imported in PLANTED:
        place = source / (module.replace(".", "/") + ".py")
        for folder in reversed(place.relative_to(source).parents):
            (source / folder).mkdir(exist_ok=True)
            (source / folder / "__init__.py").touch()
        place.write_text(f"import {imported}\n")
    (source / "adapters/planted_b/gateway.py").touch()
    told = lint_imports(root).stdout
    return {name: _section(told, name) for name in CONTRACTS}


def _section(told: str, contract: str) -> str:
    """The report's paragraphs under this contract's underlined name."""
    found = re.search(rf"^{re.escape(contract)}\n-+\n(.*?)(?=^[^\n]+\n-{{5,}}\n|\Z)", told, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_the_contracts_hold() -> None:
    checked = lint_imports(ROOT)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert all(f"{contract} KEPT" in checked.stdout for contract in CONTRACTS)


@pytest.mark.parametrize(("contract", "module", "imported"), PLANTED)
def test_a_planted_import_breaks_its_contract(
    broken: Mapping[str, str], contract: str, module: str, imported: str
) -> None:
    assert re.search(rf"sewapay\.{re.escape(module)} -> {re.escape(imported)}\b", broken[contract])


def test_a_new_folder_beside_the_layers_has_to_be_given_its_place(tmp_path: Path) -> None:
    source = copy_of_the_package(tmp_path)
    (source / "utils").mkdir()
    (source / "utils" / "__init__.py").touch()

    checked = lint_imports(tmp_path)

    assert checked.returncode == 1
    assert f"{LAYERS} BROKEN" in checked.stdout
    assert "sewapay.utils" in checked.stdout
