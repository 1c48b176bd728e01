"""The API's description, made from the routes themselves: served at `/schema`, without anybody else's scripts."""

from collections.abc import Mapping
from typing import Any, Final

from litestar._openapi.schema_generation import SchemaCreator
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, Schema, SecurityScheme, Server, Tag
from litestar.typing import FieldDefinition

from sewapay.adapters.web.problems import PROBLEMS
from sewapay.adapters.web.schemas import GuideDetail, GuideError, Problem

__all__ = ["SIGNED_IN", "StrictBodies", "described", "guide_errors", "problems"]

SIGNED_IN: Final[list[dict[str, list[str]]]] = [{"bearer": []}]


def _said(status: int) -> str:
    titles = dict.fromkeys(kind.title for kind in PROBLEMS.values() if kind.status == status)
    return "; ".join(titles) or "Not as it should be"


def problems(*statuses: int) -> Mapping[int, ResponseSpec]:
    """The problem documents that an operation may answer with."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_said(status),
            media_type="application/problem+json",
            generate_examples=False,
        )
        for status in (400, *statuses)
    }


def guide_errors(*statuses: int) -> Mapping[int, ResponseSpec]:
    """The guide's envelopes that an operation may answer with."""
    return {
        status: ResponseSpec(
            data_container=GuideDetail if status in (401, 405) else GuideError,
            description=_said(status),
            generate_examples=False,
        )
        for status in (400, *statuses)
    }


class StrictBodies(StructSchemaPlugin):
    """Says in the document that a body which refuses unknown fields does so.

    Litestar keeps the plugin that it is made of to itself; a test of the document notices when that moves.
    """

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Structs that refuse them; all others stay with Litestar's own plugin."""
        if not super().is_plugin_supported_field(field_definition):
            return False
        config = getattr(field_definition.annotation, "__struct_config__", None)
        return config is not None and bool(config.forbid_unknown_fields)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """Litestar's description of the Struct, closed."""
        schema = super().to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema


def described(public_url: str, version: str) -> OpenAPIConfig:
    """What surrounds the routes in the document."""
    return OpenAPIConfig(
        title="sewapay",
        version=version,
        summary="Self-hosted payments for Nepal",
        description=(
            "Money is a whole number of paisa (Rs 1,130.00 is 113000). Times are RFC 3339 in UTC. Unknown fields are "
            "refused. Errors are application/problem+json, whose type is a page that says what causes it and what "
            "helps. Requests that create something or move money take an Idempotency-Key header: made again with the "
            "same one they have no second effect, and get the first answer."
        ),
        license=License(name="MIT", identifier="MIT"),
        servers=[Server(url=public_url)],
        tags=[
            Tag(name="bookings", description="What is owed, by whom."),
            Tag(name="payments", description="Attempts to collect a booking's amount through a gateway."),
            Tag(name="refunds", description="Money that is given back."),
            Tag(name="events", description="What happened, to be followed."),
            Tag(name="gateways", description="The companies that move the money."),
            Tag(name="guide", description="The two addresses that SewaBazaar's front end calls."),
            Tag(name="health", description="For whoever keeps the service running."),
        ],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="A JWT of the merchant's own login (customers, staff), or an API key (services).",
                )
            }
        ),
        use_handler_docstrings=True,
        path="/schema",
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        operation_id_creator=_operation_id,
    )


def _operation_id(route_handler: Any, _method: Any, _path: Any) -> str:
    name: str = route_handler.handler_name
    return name
