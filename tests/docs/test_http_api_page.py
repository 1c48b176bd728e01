"""docs/http-api.md shows the gateways as the service lists them."""

import json
import re
from pathlib import Path

from litestar.testing import AsyncTestClient

from sewapay.adapters.web.auth import issue_token
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import build_container

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
SECRET = "a secret that only the tests of this repository use"


def section() -> str:
    """What stands under the heading."""
    return PAGE.read_text("utf-8").partition("\n### The gateways\n")[2].partition("\n### ")[0]


async def test_the_example_of_the_gateways_is_what_the_service_answers(tmp_path: Path) -> None:
    container = build_container(
        {
            "SEWAPAY_ENV": "test",
            "SEWAPAY_DATABASE_URL": f"sqlite:///{tmp_path / 'sewapay.db'}",
            "SEWAPAY_JWT_SECRET": SECRET,
            "SEWAPAY_GATEWAYS": "khalti,esewa",
            "KHALTI_SECRET_KEY": "a-key-that-nobody-is-shown",
            "ESEWA_PRODUCT_CODE": "EPAYTEST",
            "ESEWA_SECRET_KEY": "a-key-that-nobody-is-shown",
        }
    )
    async with AsyncTestClient(create_app(container)) as client:
        token = issue_token(SECRET.encode(), subject="42")
        answer = await client.get("/v1/gateways", headers={"Authorization": f"Bearer {token}"})

    [example] = re.findall(r"^```json\n(.*?)^```$", section(), re.MULTILINE | re.DOTALL)
    assert json.loads(example) == answer.json()
    named = re.findall(r"^\| (`[a-z_`, ]+`) \|", section(), re.MULTILINE)
    assert [name for cell in named for name in re.findall(r"`([a-z_]+)`", cell)] == list(answer.json()["items"][0])
