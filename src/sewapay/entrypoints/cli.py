"""The command line. Exit codes: 0 done, 1 the thing asked about is wrong, 2 the command was used wrongly."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from sewapay.adapters.sql.migrations import migrate as migrate_database
from sewapay.adapters.web.auth import issue_token
from sewapay.application.access import Scope
from sewapay.application.audit import UnreadableStatement
from sewapay.application.explain import both_times
from sewapay.application.ports import PaymentGateway, RefundKind
from sewapay.application.reconcile_payments import Reconciled
from sewapay.domain.errors import InvalidIdentifier, SewapayError
from sewapay.domain.identifiers import CustomerId, PaymentId
from sewapay.entrypoints.container import Container, build_container
from sewapay.entrypoints.gateway_folder import FolderNotWritten, NameRefused, write_gateway
from sewapay.entrypoints.gateways import try_all
from sewapay.entrypoints.logs import require_writable
from sewapay.entrypoints.settings import environment

T = TypeVar("T")

_UVICORN_DID_NOT_START: Final = 3


class _Commands(click.Group):
    """Turns what sewapay refuses into one line on stderr and exit code 1.

    A server that could not start has logged why; its exit code is ours then too.
    """

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SewapayError as error:
            click.echo(f"sewapay: {error}", err=True)
            sys.exit(1)
        except SystemExit as ended:
            if ended.code == _UVICORN_DID_NOT_START:
                sys.exit(1)
            raise


def _printable(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Bytes that are no text arrive as lone surrogates, which can be neither stored nor shown."""
    if not text.strip() or not text.isprintable():
        raise click.BadParameter("use printable text")
    return text


def _payment_id(_context: click.Context, _parameter: click.Parameter, text: str | None) -> PaymentId | None:
    try:
        return None if text is None else PaymentId(text)
    except InvalidIdentifier as error:
        raise click.BadParameter(str(error)) from None


def _example(text: str) -> str:
    return f"Example: {text}"


@click.group(cls=_Commands, epilog=_example("sewapay demo"), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sewapay")
def main() -> None:
    """Self-hosted payments for Nepal."""


def _container() -> Container:
    return build_container(environment())


def _with_store(work: Callable[[Container], Awaitable[T]]) -> T:
    async def run() -> T:
        container = _container()
        store = container.store()
        await store.open()
        try:
            return await work(container)
        finally:
            await store.close()

    return asyncio.run(run())


@main.command(epilog=_example("sewapay serve --port 8000 --workers 2"))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.option("--no-worker", is_flag=True, help="Leave due payments to `sewapay worker`.")
def serve(host: str, port: int, workers: int, no_worker: bool) -> None:
    """Run the service until it is stopped; it looks at due payments too."""
    from sewapay.entrypoints import serve as service

    service.run(environment(), host=host, port=port, workers=workers, with_worker=not no_worker)


@main.command(epilog=_example("sewapay worker --once    (from cron, every minute)"))
@click.option("--once", is_flag=True, help="Look at what is due now, and stop.")
def worker(once: bool) -> None:
    """Look at payments that are due, until it is stopped. Any number of workers share the work."""
    from sewapay.entrypoints import worker as reconciler

    done = reconciler.run(environment(), once=once)
    if done is not None:
        _tell(done)


def _tell(done: Reconciled) -> None:
    """What a run of the reconciler did; the exit code is 1 when something broke in it."""
    click.echo(
        f"{done.claimed} due payments taken: {done.asked} asked about, {done.changed} changed, {done.silent} without"
        f" an answer, {done.skipped} left for later, {len(done.poisoned) + len(done.broken)} put aside by an error."
    )
    for one in done.left_alone:
        why = "the minute's calls are spent"
        if one.until is not None:
            why = f"until {both_times(one.until)} it is left alone, for it does not answer, or refuses our key"
        click.echo(f"What is due at {one.gateway} waits: {why}.")
    for name, error in done.stopped:
        click.echo(f"What is due at {name} waits: the run broke over this gateway ({type(error).__name__}).")
    if done.poisoned or done.broken or done.stopped:
        sys.exit(1)


@main.command(epilog=_example("sewapay reconcile --payment 0e4b6f0e-6d0c-4b0e-9d65-8f5e5b1c2a77 --explain"))
@click.option("--payment", "payment_id", default=None, callback=_payment_id, help="Ask about this payment, due or not.")
@click.option("--explain", "is_explained", is_flag=True, help="Tell its whole story, and what you can do.")
def reconcile(payment_id: PaymentId | None, is_explained: bool) -> None:
    """Ask the gateways about all payments that are due, or about one, and record what they say.

    A payment is explained from what is stored when its gateway does not answer.
    """
    from sewapay.entrypoints import reconcile as one
    from sewapay.entrypoints import worker as reconciler

    if payment_id is None:
        if is_explained:
            raise click.UsageError("--explain tells about one payment: name it with --payment")
        done = reconciler.run(environment(), once=True)
        if done is not None:
            _tell(done)
        return
    container = _container()
    looked = one.look(container, payment_id)
    if is_explained:
        click.echo("\n".join(looked.explained(container)))
        return
    click.echo(looked.line())
    if looked.asked.silence is not None:
        click.echo(f"sewapay: the gateway gave no usable answer: {looked.asked.silence}", err=True)
        sys.exit(1)


@main.command(epilog=_example("sewapay audit --ledger http://127.0.0.1:8901/_sim/payments"))
@click.option("--ledger", default=None, help="Compare with a gateway's statement as well: an address or a file (JSON).")
def audit(ledger: str | None) -> None:
    """Check the promises about money on the database; exit code 1 when one is broken. Changes nothing."""
    from sewapay.entrypoints.audit import audit as audit_all

    try:
        audited = audit_all(_container(), ledger)
    except UnreadableStatement as unreadable:
        raise click.BadParameter(str(unreadable), param_hint="--ledger") from None
    click.echo("\n".join(audited.lines()))
    if not audited.is_in_order:
        sys.exit(1)


@main.command(epilog=_example("sewapay migrate"))
def migrate() -> None:
    """Bring the database up to date; safe to repeat."""
    settings = _container().settings()
    migrate_database(settings.database_url)
    click.echo("The database is up to date.")


class _StandIns(click.Group):
    """A command for each gateway that brings a stand-in, found by convention."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from sewapay.entrypoints.simulate import names

        return names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from sewapay.entrypoints.simulate import command_of

        return command_of(cmd_name)


@main.group(cls=_StandIns, epilog=_example("sewapay simulate khalti --port 8901"))
def simulate() -> None:
    """Run a gateway's stand-in, where no money moves."""


@main.command(epilog=_example("sewapay demo --once --gateway esewa"))
@click.option("--once", is_flag=True, help="Walk one payment over HTTP and stop.")
@click.option("--gateway", default="khalti", show_default=True, help="Which gateway that payment goes through.")
def demo(once: bool, gateway: str) -> None:
    """Start everything on this machine and pay for a sample booking."""
    from sewapay.entrypoints.demo import NotInTheDemo, run_demo

    try:
        sys.exit(run_demo(once=once, gateway=gateway))
    except NotInTheDemo as error:
        click.echo(f"sewapay: {error}", err=True)
        sys.exit(2)


@main.group(epilog=_example("sewapay keys create --label shop --scope bookings --scope payments"))
def keys() -> None:
    """API keys for the merchant's own services."""


@keys.command("create", epilog=_example("sewapay keys create --label shop --scope bookings --scope payments"))
@click.option("--label", required=True, callback=_printable, help="What the key is for; shown in lists.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice([str(scope) for scope in Scope]))
def create_key(label: str, scopes: tuple[str, ...]) -> None:
    """Create a key and print it, once."""
    wanted = frozenset(Scope(scope) for scope in scopes)
    created = _with_store(lambda container: container.create_api_key()(label, wanted))
    click.echo(created.token)
    click.echo(f"Key {created.key.id}. Keep the line above: it cannot be shown again.", err=True)


@keys.command("list", epilog=_example("sewapay keys list"))
def list_keys() -> None:
    """List the keys, without their secrets."""
    for key in _with_store(lambda container: container.list_api_keys()()):
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "active"
        click.echo(f"{key.id}  {state:18}  {','.join(sorted(key.scopes)):24}  {key.label}")


@keys.command("revoke", epilog=_example("sewapay keys revoke 0123456789abcdef"))
@click.argument("key_id", callback=_printable)
def revoke_key(key_id: str) -> None:
    """Make a key useless, at once."""
    _with_store(lambda container: container.revoke_api_key()(key_id))
    click.echo(f"Key {key_id} is revoked.")


@main.command(epilog=_example("sewapay token --customer 42"))
@click.option("--customer", required=True, help="Whose token it is, as the merchant names its customers.")
@click.option("--role", default="customer", show_default=True, type=click.Choice(["customer", "staff"]))
def token(customer: str, role: str) -> None:
    """Print a development token for a customer or a member of staff, good for an hour."""
    settings = _container().settings()
    if settings.is_production:
        click.echo("sewapay: tokens are issued by your shop in production; this command is for development", err=True)
        sys.exit(1)
    click.echo(
        issue_token(
            settings.jwt_secret,
            subject=CustomerId(customer),
            role=role,
            subject_claim=settings.jwt_subject_claim,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )
    )


@main.command(epilog=_example("sewapay gateways --all"))
@click.option("--all", "is_all", is_flag=True, help="Whatever is installed, and whether it could be enabled.")
def gateways(is_all: bool) -> None:
    """List the enabled gateways and what they can do."""
    container = _container()
    if not is_all:
        for _, gateway in sorted(container.gateways().items()):
            click.echo(_described(gateway))
        return
    enabled = container.settings().gateways
    tried = try_all(container.environ(), container.http_client(), is_production=container.settings().is_production)
    for one in tried:
        state = "enabled" if one.registered.name in enabled else "can be enabled"
        origin = "" if one.registered.source is None else f", by {one.registered.source}"
        if one.gateway is not None:
            click.echo(f"{_described(one.gateway)}  {state}{origin}")
        else:
            click.echo(f"{one.registered.name:12} cannot be enabled: {'; '.join(str(one.why_not).splitlines())}")
    if any(one.gateway is None and one.registered.name in enabled for one in tried):
        sys.exit(1)


def _described(gateway: PaymentGateway) -> str:
    can = gateway.capabilities
    refunds = "no refunds" if can.refunds is RefundKind.NONE else f"refunds: {can.refunds}"
    most = f" to {can.greatest}" if can.greatest else ""
    opens = "" if can.configured else "  opens no checkout yet: its settings lack something"
    amounts = f"{can.least}{most}"
    return f"{gateway.name:12} {can.label:12} {gateway.environment:11} {can.checkout:10} {amounts}  {refunds}{opens}"


@main.command("new-gateway", epilog=_example("sewapay new-gateway tinypay --path ~/tinypay"))
@click.argument("name")
@click.option("--path", "folder", default=None, type=click.Path(path_type=Path), help="Where to (default: ./NAME).")
def new_gateway(name: str, folder: Path | None) -> None:
    """Write the folder of a new gateway, a distribution of its own that says what is still to be written."""
    try:
        written = write_gateway(name, folder or Path(name))
    except NameRefused as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    except FolderNotWritten as error:
        click.echo(f"sewapay: {error}", err=True)
        sys.exit(1)
    for path in written:
        click.echo(path)
    click.echo("Its README.md says what to write, in which order; its tests are red until then.")


@main.command("check-settings", epilog=_example("SEWAPAY_ENV=production sewapay check-settings"))
def check_settings() -> None:
    """Say whether the service would start with these settings; names what is wrong, never a value."""
    container = _container()
    log_file = container.settings().log_file
    if log_file is not None:
        require_writable(log_file)
    names = ", ".join(sorted(container.gateways()))
    click.echo(f"The settings are fine for {container.settings().kind}, with the gateways {names}.")


@main.command(epilog=_example("sewapay openapi > openapi.json"))
def openapi() -> None:
    """Print the API's OpenAPI document."""
    from sewapay.entrypoints.asgi import create_app

    click.echo(json.dumps(create_app(_container()).openapi_schema.to_schema(), indent=2))
