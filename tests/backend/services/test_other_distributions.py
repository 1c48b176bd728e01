"""A gateway of another distribution, installed as a stranger installs it: wheels in a Python of their own.

The example in examples/tinypay is what is installed. Nothing of this tree is on the path there.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from zipfile import ZipFile

import httpx
import pytest

from tests.backend.system.serving import free_port, wait_for
from tests.fresh_python import NO_MORE, ROOT, TINYPAY, FreshPython, built_wheel

SAY_WHERE = """
import importlib.metadata, json, sewapay, tinypay, tinypay.simulator, sewapay.testing.plugin
print(json.dumps({
    "files": [module.__file__ for module in (sewapay, tinypay, tinypay.simulator, sewapay.testing.plugin)],
    "editable": importlib.metadata.distribution("sewapay").read_text("direct_url.json"),
}))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> FreshPython:
    """A Python with the wheels of sewapay and of Tinypay in it."""
    return FreshPython.made(tmp_path_factory.mktemp("fresh") / "python", ROOT, TINYPAY)


@contextmanager
def running(fresh: FreshPython, folder: Path, *command: str, variables: Mapping[str, str] = NO_MORE) -> Iterator[Path]:
    """A command of that Python until it is ended by its id; what it writes goes to the file that is told."""
    output = folder / f"{command[1]}.out"
    with output.open("wb") as written:
        process = subprocess.Popen(
            [str(fresh.folder / "bin" / command[0]), *command[1:]],
            cwd=folder, env=dict(fresh.environ(variables)), stdout=written, stderr=written,
        )  # fmt: skip
    try:
        yield output
    finally:
        process.terminate()
        process.wait(40)


def answers(url: str) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return httpx.get(url, trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    return look


def test_what_is_tried_there_comes_from_its_own_wheels(fresh: FreshPython, tmp_path: Path) -> None:
    told = fresh.run("python", "-c", SAY_WHERE, cwd=tmp_path)

    said = json.loads(told.stdout)
    assert [file for file in said["files"] if not Path(file).is_relative_to(fresh.site)] == []
    assert "editable" not in (said["editable"] or "")


def test_a_gateway_is_listed_with_the_distribution_that_offers_it(fresh: FreshPython, tmp_path: Path) -> None:
    listed = fresh.run("sewapay", "gateways", "--all", cwd=tmp_path, variables={"TINYPAY_SECRET_KEY": "any-key"})

    lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert (listed.returncode, {"khalti", "esewa", "tinypay"} - set(lines)) == (0, set())
    assert lines["tinypay"].split()[:3] == ["tinypay", "Tinypay", "sandbox"]
    assert lines["tinypay"].endswith("can be enabled, by sewapay-tinypay 0.1.0")


def test_the_kit_of_the_wheel_passes_on_it(fresh: FreshPython, tmp_path: Path) -> None:
    copytree(TINYPAY / "tests", tmp_path / "tests")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")

    tested = fresh.run("python", "-m", "pytest", "-q", "tests", cwd=tmp_path)

    assert tested.returncode == 0, tested.stdout[-3000:]
    assert " passed, " in tested.stdout.splitlines()[-1]


def test_a_customer_pays_through_it_and_the_booking_is_confirmed(fresh: FreshPython, tmp_path: Path) -> None:
    ours, theirs = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    variables = {
        "SEWAPAY_GATEWAYS": "tinypay",
        "SEWAPAY_DATABASE_URL": f"sqlite:///{tmp_path / 'shop.db'}",
        "SEWAPAY_PUBLIC_URL": ours,
        "TINYPAY_BASE_URL": f"{theirs}/api",
        "TINYPAY_SECRET_KEY": "tinypay-trial-key",
    }
    fresh.run("sewapay", "migrate", cwd=tmp_path, variables=variables)
    key = fresh.run(
        *("sewapay", "keys", "create", "--label", "shop", "--scope", "bookings", "--scope", "payments"),
        cwd=tmp_path,
        variables=variables,
    ).stdout.strip()
    stand_in = ("sewapay", "simulate", "tinypay", "--port", theirs.rpartition(":")[2])
    service = ("sewapay", "serve", "--port", ours.rpartition(":")[2])
    shop = httpx.Client(base_url=ours, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=20)
    with running(fresh, tmp_path, *stand_in), running(fresh, tmp_path, *service, variables=variables) as output, shop:
        wait_for(answers(f"{theirs}/_sim/payments"), 40)
        wait_for(answers(f"{ours}/health/ready"), 40, output.read_text)
        booking = {"id": 1, "customer": {"id": "42"}, "title": "Deep cleaning", "amount": 113001}
        assert shop.post("/v1/bookings", json=booking).status_code == 201
        payment = shop.post("/v1/payments", json={"booking_id": 1, "gateway": "tinypay"}).json()

        page = httpx.post(payment["next_step"]["url"], trust_env=False)
        before = shop.get("/v1/bookings/1").json()["status"]
        back = httpx.get(page.headers["location"], trust_env=False)

        after = shop.get("/v1/bookings/1").json()
        ledger = httpx.get(f"{theirs}/_sim/payments", trust_env=False).json()
    assert (before, back.status_code) == ("pending", 303)
    assert (after["status"], after["settled_by"]) == ("confirmed", payment["id"])
    assert [(row["status"], row["amount"]) for row in ledger["payments"]] == [("PAID", 113001)]


@pytest.mark.parametrize(
    ("file", "was", "becomes", "why"),
    [
        ("__init__.py", "import httpx", "import a_library_that_nobody_has", "tinypay cannot be imported: ModuleNotFo"),
        ("gateway.py", "async def look_up(", "async def lookup(", "its build returned no PaymentGateway: it has no"),
        ("gateway.py", "reference_length=32", "reference_length=9", "its capabilities' reference_length is less than"),
    ],
)  # fmt: skip
def test_a_broken_distribution_stops_the_start_with_its_name_and_the_reason(
    fresh: FreshPython, tmp_path: Path, file: str, was: str, becomes: str, why: str
) -> None:
    broken = tmp_path / "broken"
    copytree(TINYPAY, broken)
    module = broken / "src" / "tinypay" / file
    assert was in module.read_text()
    module.write_text(module.read_text().replace(was, becomes))
    with ZipFile(built_wheel(broken, tmp_path / "wheels")) as wheel:
        wheel.extractall(tmp_path / "first")

    started = fresh.run(
        *("sewapay", "serve", "--port", "0"),
        cwd=tmp_path,
        seconds=60,
        variables={"PYTHONPATH": str(tmp_path / "first"), "SEWAPAY_GATEWAYS": "tinypay"},
    )

    assert (started.returncode, started.stdout) == (1, "")
    assert started.stderr.startswith(
        f"sewapay: SEWAPAY_GATEWAYS cannot name tinypay of sewapay-tinypay 0.1.0: {why}"
    ), started.stderr


@pytest.fixture(scope="module")
def packed(fresh: FreshPython) -> Mapping[str, bytes]:
    """What is in sewapay's wheel."""
    (wheel,) = (fresh.folder / "wheels").rglob("sewapay-*.whl")
    with ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_wheel_carries_all_that_is_no_python_too(packed: Mapping[str, bytes]) -> None:
    source = ROOT / "src"
    others = [
        str(path.relative_to(source))
        for path in (source / "sewapay").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]

    assert {"html", "tmpl"} <= {name.rpartition(".")[2] for name in others}
    assert [name for name in others if name not in packed] == []


def test_the_wheel_brings_the_plugin_and_names_what_tests_and_stand_ins_need(packed: Mapping[str, bytes]) -> None:
    (points,) = (packed[name].decode() for name in packed if name.endswith("entry_points.txt"))
    (metadata,) = (packed[name].decode() for name in packed if name.endswith("METADATA"))
    needed = {line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")}

    assert "[pytest11]\nsewapay = sewapay.testing.plugin" in points
    assert "sewapay/testing/plugin.py" in packed
    for extra, names in {"testing": ("pytest", "hypothesis"), "simulators": ("msgspec", "uvicorn", "jinja2")}.items():
        offered = {line.partition(";")[0] for line in needed if f"extra == '{extra}'" in line}
        assert [name for name in names if not any(line.startswith(name) for line in offered)] == []
