"""`sewapay new-gateway`: the folder of a new distribution for one more gateway, which says what is still to be written.

What it writes imports, and is red wherever something is missing: no part of it pretends to work.
"""

import keyword
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.gateways import of_name

__all__ = ["FolderNotWritten", "NameRefused", "write_gateway"]

# The template of each file, by its place in the new folder.
FILES: Final = MappingProxyType(
    {
        "README.md": "README.md.tmpl",
        "pyproject.toml": "pyproject.toml.tmpl",
        "src/$name/__init__.py": "init.py.tmpl",
        "src/$name/config.py": "config.py.tmpl",
        "src/$name/protocol.py": "protocol.py.tmpl",
        "src/$name/gateway.py": "gateway.py.tmpl",
        "src/$name/simulator.py": "simulator.py.tmpl",
        "tests/test_contract.py": "test_contract.py.tmpl",
    }
)


class NameRefused(Exception):
    """No new gateway can be called so; the text says why."""


class FolderNotWritten(Exception):
    """There is something already, or it cannot be written; the text says which."""


def write_gateway(name: str, folder: Path) -> tuple[Path, ...]:
    """Write the files of a gateway of this name into a new or empty folder, and tell which.

    Raises `NameRefused` and `FolderNotWritten`; nothing that is there is overwritten.
    """
    words = _words(_usable(name))
    templates = files("sewapay.entrypoints") / "new_gateway"
    texts = {
        Template(place).substitute(words): Template((templates / template).read_text("utf-8")).substitute(words)
        for place, template in FILES.items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if next(folder.iterdir(), None) is not None:
            raise FolderNotWritten(f"{folder} is not empty, and nothing is overwritten: name another with --path")
        for place, text in texts.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            with (folder / place).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise FolderNotWritten(f"{folder} cannot be written: {error.strerror}") from error
    return tuple(folder / place for place in texts)


def _usable(name: str) -> GatewayName:
    try:
        usable = GatewayName(name)
    except InvalidIdentifier as why:
        raise NameRefused(str(why)) from None
    if taken := of_name(name):
        raise NameRefused(f"there is a gateway by this name already: {taken[0]}")
    if keyword.iskeyword(name):
        raise NameRefused(f"{name} is a word of Python's own, and cannot name a package")
    spec = find_spec(name)
    if spec is not None and spec.origin is not None:  # a folder without code in it hides nothing
        raise NameRefused(f"there is a Python package called {name} already, which the new one would hide")
    return usable


def _words(name: GatewayName) -> dict[str, str]:
    """What stands in the templates: the name as packages, distributions, variables, classes and people write it."""
    return {
        "name": name,
        "project": name.strip("_").replace("_", "-"),
        "NAME": name.upper(),
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "Label": " ".join(part.capitalize() for part in name.split("_") if part),
        "version": version("sewapay"),
    }
