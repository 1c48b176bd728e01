"""Other people's distributions as pip leaves them in a folder: a module, and a dist-info with entry points."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

TINYPAY: Final = """
from attrs import evolve

from sewapay.adapters.fake.gateway import FAKE_CAPABILITIES, FakeGateway
from sewapay.domain.identifiers import Environment, GatewayName

def build(environ, client, *, is_production):
    return FakeGateway(name=GatewayName("tinypay"), capabilities=evolve(FAKE_CAPABILITIES, label="TinyPay"))
"""


def install(site: Path, name: str, entry_points: Mapping[str, str], modules: Mapping[str, str] | None = None) -> None:
    """Put a distribution into a folder that will be on the path of whoever is to find it."""
    described = site / f"{name.replace('-', '_')}-0.1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    lines = "\n".join(f"{entry} = {value}" for entry, value in entry_points.items())
    (described / "entry_points.txt").write_text(f"[sewapay.gateways]\n{lines}\n")
    for module, text in (modules or {}).items():
        path = site / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
