"""Faults from a file (`--faults`), armed when a stand-in starts: the JSON that `POST /_sim/faults` takes."""

from pathlib import Path
from typing import Self

from attrs import field, frozen

from sewapay.standins.company import AnyCompany
from sewapay.standins.exchange import NotJson, parsed
from sewapay.standins.refusals import Refused


class UnusableScript(Exception):
    """A file of faults cannot be used; the text names the file, the entry and the reason."""


@frozen
class Script:
    """What a file of faults holds, and how the file is called."""

    name: str
    octets: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The script in a file. Raises UnusableScript."""
        try:
            return cls(str(path), path.read_bytes())
        except OSError as unreadable:
            raise UnusableScript(f"{path} cannot be read: {unreadable.strerror}.") from unreadable

    def arm(self, company: AnyCompany) -> None:
        """Let it happen at this company. Raises UnusableScript, and arms nothing then."""
        try:
            company.arm_all(parsed(self.octets))
        except NotJson as wrong:
            raise UnusableScript(f"{self.name} is no JSON: {wrong}.") from wrong
        except Refused as refused:
            raise UnusableScript(f"{self.name}: {refused}") from refused
