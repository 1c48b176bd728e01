"""`sewapay simulate NAME`: a command for each gateway that brings a stand-in, found by convention."""

from pathlib import Path
from shlex import quote

import click

from sewapay.application.errors import UnusableSetting
from sewapay.entrypoints.gateways import of_name, registered
from sewapay.entrypoints.serve import require_free
from sewapay.entrypoints.stand_ins import may_have_one, stand_in_of
from sewapay.standins.description import Description, Options
from sewapay.standins.script import Script, UnusableScript
from sewapay.standins.server import serve

__all__ = ["command_of", "names"]


def names() -> list[str]:
    """The names of the gateways that bring a stand-in, ours and other people's."""
    return sorted({one.name for one in registered() if may_have_one(one)})


def command_of(name: str) -> click.Command | None:
    """The command that runs this gateway's; None when there is no such gateway, or no stand-in of it."""
    for one in of_name(name):
        try:
            described = stand_in_of(one)
        except UnusableSetting as error:
            return _refusing(name, error)
        if described is not None:
            return _running(name, described)
    return None


def _refusing(name: str, why: UnusableSetting) -> click.Command:
    """A stand-in that is broken: it is listed, and says why it cannot be run."""

    def refuse() -> None:
        raise why

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=f"Cannot be run: {why}.", context_settings=anything)


def _running(name: str, described: Description) -> click.Command:
    def run(
        host: str,
        port: int,
        seed: int | None,
        faults: tuple[Path, ...],
        public_url: str,
        secret_key: str | None = None,
    ) -> None:
        require_free(host, port)
        try:
            scripts = tuple(Script.read(path) for path in faults)
            chosen = Options(secret_key=secret_key, seed=seed, faults=scripts, public_url=public_url.rstrip("/"))
            app = described.create_app(chosen)
        except UnusableScript as error:
            raise click.BadParameter(str(error), param_hint="--faults") from None
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--secret-key") from None
        serve(app, host, port)

    options = [
        click.Option(["--host"], default="127.0.0.1", show_default=True, help="Address to listen on."),
        click.Option(
            ["--port"],
            default=described.port,
            show_default=True,
            type=click.IntRange(0, 65535),
            help="Port to listen on.",
        ),
        click.Option(["--seed"], type=int, help="The same ids, and the same random faults, at each start."),
        click.Option(
            ["--faults"],
            multiple=True,
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="What goes wrong from the start: a file of what POST /_sim/faults takes.",
        ),
        click.Option(
            ["--public-url"],
            default="http://127.0.0.1:8000",
            show_default=True,
            help="Where browsers reach the service; of use where a company has the return address registered.",
        ),
    ]
    if described.takes_key:
        options.append(click.Option(["--secret-key"], help="Accept this key only."))
    address = f"http://127.0.0.1:{described.port}"
    settings = " ".join(f"{variable}={quote(value)}" for variable, value in described.environ(address).items())
    service = f"{settings} SEWAPAY_GATEWAYS={name} sewapay serve"
    return click.Command(
        name,
        callback=run,
        params=list(options),
        help=f"{described.label}.",
        epilog=f"Example: sewapay simulate {name} --port {described.port} & {service}",
    )
