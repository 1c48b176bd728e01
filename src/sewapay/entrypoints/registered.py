"""Gateways as they are registered: ours by name, other people's by the entry points of their distributions.

Nothing of a gateway is imported until it is asked for, so one that is not enabled cannot disturb.
"""

from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from typing import Final, Self

from attrs import frozen

from sewapay.domain.identifiers import GatewayName

__all__ = ["GROUP", "Registered", "of_other_distributions"]

GROUP: Final = "sewapay.gateways"
"""The entry-point group of other people's gateways: name = module (or module:object) with a callable `build`."""


@frozen(kw_only=True)
class Registered:
    """A gateway that is there to be enabled, or that pretends to be.

    `source` is the distribution that offers it, such as `tinypay 0.1.0`; None for ours.
    """

    place: EntryPoint
    source: str | None = None

    @property
    def name(self) -> str:
        """The name that it is registered by; other people's may be none that a gateway can have."""
        return self.place.name

    @classmethod
    def ours(cls, name: GatewayName, module: str) -> Self:
        """A gateway that comes with sewapay itself."""
        return cls(place=EntryPoint(name=name, value=module, group=GROUP))

    @property
    def is_ours(self) -> bool:
        """Whether it comes with sewapay itself."""
        return self.source is None

    @property
    def package(self) -> str:
        """The folder that it lives in, as a dotted name; empty for a lone module.

        Raises `ImportError` when there is no such module, and whatever the packages above it raise.
        """
        module = self.place.value.partition("[")[0].partition(":")[0].strip()
        spec = find_spec(module)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return spec.parent or ""

    def __str__(self) -> str:
        return self.name if self.source is None else f"{self.name} of {self.source}"


def of_other_distributions() -> tuple[Registered, ...]:
    """What the distributions that are installed beside sewapay offer; a name can stand in it twice."""
    offers = (Registered(place=place, source=_source(place.dist)) for place in entry_points(group=GROUP))
    return tuple(sorted(offers, key=lambda one: (one.name, one.source)))


def _source(distribution: Distribution | None) -> str:
    if distribution is None or distribution.read_text("METADATA") is None:
        return "a distribution without metadata"
    return f"{distribution.name} {distribution.version}"
