"""Finding gateways' stand-ins by convention: `STAND_IN` in the module `simulator` of a gateway's folder."""

from importlib import import_module
from importlib.util import find_spec

from sewapay.application.errors import UnusableSetting
from sewapay.entrypoints.fit_gateways import told
from sewapay.entrypoints.registered import Registered
from sewapay.standins.description import Description

__all__ = ["may_have_one", "stand_in_of"]


def may_have_one(gateway: Registered) -> bool:
    """Whether a gateway brings a stand-in, as far as can be seen without importing it; a broken one may."""
    try:
        return _module_of(gateway) is not None
    except KeyboardInterrupt:
        raise  # that is the operator
    except BaseException:  # the packages above it are other people's code, and may exit
        return True


def stand_in_of(gateway: Registered) -> Description | None:
    """How this gateway's stand-in is run and used; None when it brings none.

    Raises `UnusableSetting` for one that is broken.
    """
    try:
        module = _module_of(gateway)
        described = None if module is None else import_module(module).STAND_IN
    except KeyboardInterrupt:
        raise  # that is the operator
    except BaseException as error:  # importing runs other people's code, and may exit
        raise UnusableSetting(f"the stand-in of {gateway} cannot be used: {told(error)}") from error
    if module is not None and not isinstance(described, Description):
        raise UnusableSetting(f"the stand-in of {gateway} cannot be used: {module}.STAND_IN is no Description")
    return described


def _module_of(gateway: Registered) -> str | None:
    package = gateway.package
    module = f"{package}.simulator"
    return module if package and find_spec(module) is not None else None
