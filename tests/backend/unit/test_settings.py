from pathlib import Path

import pytest

from sewapay.application.errors import UnusableSetting
from sewapay.application.return_urls import ReturnOrigins
from sewapay.domain.settlement import FullRefund, Policies, Policy
from sewapay.entrypoints.settings import DEVELOPMENT_JWT_SECRET, Settings, environment

STRONG = "K7d-fm2Qx9_wZtR4hVbN8sLcYpJ3uGe6"
PRODUCTION = {
    "SEWAPAY_ENV": "production",
    "SEWAPAY_JWT_SECRET": STRONG,
    "SEWAPAY_PUBLIC_URL": "https://pay.shop.example",
}


def refusal(**variables: str) -> str:
    """What is said of production's settings with these on top."""
    with pytest.raises(UnusableSetting) as caught:
        Settings.load(PRODUCTION | variables)
    return str(caught.value)


def test_production_starts_with_secrets_of_its_own() -> None:
    assert Settings.load(PRODUCTION).is_production
    assert Settings.load(PRODUCTION | {"SEWAPAY_LINK_SECRET": STRONG[::-1]}).is_production


@pytest.mark.parametrize("name", ["SEWAPAY_JWT_SECRET", "SEWAPAY_LINK_SECRET"])
@pytest.mark.parametrize("weak", ["a" * 32, "1234567" * 6, DEVELOPMENT_JWT_SECRET])
@pytest.mark.invariant("I26")
def test_production_refuses_a_secret_that_can_be_guessed(name: str, weak: str) -> None:
    said = refusal(**{name: weak})

    assert said.startswith(name)
    assert "\n" not in said
    assert weak not in said


def test_production_refuses_one_secret_for_two_purposes() -> None:
    said = refusal(SEWAPAY_LINK_SECRET=STRONG)

    assert said.startswith("SEWAPAY_LINK_SECRET")
    assert STRONG not in said


def test_outside_production_any_secret_is_long_enough() -> None:
    weak = {"SEWAPAY_JWT_SECRET": "a" * 32, "SEWAPAY_LINK_SECRET": "a" * 32}

    assert not Settings.load(weak).is_production


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80/", "http://shop.example"),
        ("HTTPS://Shop.Example:0443", "https://shop.example"),
        ("https://shop.example:", "https://shop.example"),
        ("https://shop.example:80", "https://shop.example:80"),
        ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(written: str, origin: str) -> None:
    settings = Settings.load({"SEWAPAY_RETURN_ORIGINS": written})

    assert settings.return_origins == ReturnOrigins(origins=frozenset({origin}), any_loopback=True)
    assert settings.cors_origins == (origin,)


def test_an_origin_with_its_default_port_lets_customers_return_there() -> None:
    settings = Settings.load({"SEWAPAY_RETURN_ORIGINS": "https://shop.example:443"})

    assert settings.return_origins.require("https://shop.example/paid") == "https://shop.example/paid"


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite://", "postgresql://h/", "postgresql://h/n?sslmode=zzz"])
def test_a_database_that_cannot_be_used_is_refused_with_everything_else(url: str) -> None:
    with pytest.raises(UnusableSetting) as caught:
        Settings.load({"SEWAPAY_DATABASE_URL": url, "SEWAPAY_ENV": "holiday"})

    assert [line.split()[0].rstrip(":") for line in str(caught.value).splitlines()] == [
        "SEWAPAY_ENV",
        "SEWAPAY_DATABASE_URL",
    ]


def test_a_variable_that_is_not_text_is_refused() -> None:
    with pytest.raises(UnusableSetting, match="SEWAPAY_JWT_SECRET is not UTF-8 text"):
        Settings.load({"SEWAPAY_JWT_SECRET": "\udcff" * 40})


def test_a_file_of_variables_that_is_not_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"SEWAPAY_ENV=\xff\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UnusableSetting, match=r"\.env"):
        environment()


def test_unless_told_otherwise_unusual_money_waits_for_a_person_and_late_money_counts() -> None:
    settings = Settings.load({})

    assert settings.lookups_per_minute == 600
    assert settings.policies == Policies(
        surplus=Policy.HOLD,
        paid_late=Policy.HOLD,
        amount_mismatch=Policy.HOLD,
        orphaned_reference=Policy.HONOUR,
        refunded_outside=Policy.HOLD,
        stuck_pending=Policy.HONOUR,
        full_refund=FullRefund.REFUNDED,
    )


@pytest.mark.parametrize(
    "case", ["surplus", "paid_late", "amount_mismatch", "orphaned_reference", "refunded_outside", "stuck_pending"]
)
def test_each_case_has_a_policy_of_its_own(case: str) -> None:
    usual = Settings.load({}).policies
    other = Policy.HOLD if getattr(usual, case) is Policy.HONOUR else Policy.HONOUR

    told = Settings.load({f"SEWAPAY_ON_{case.upper()}": other.value}).policies

    assert getattr(told, case) is other
    assert [name for name in Policies.__annotations__ if getattr(told, name) != getattr(usual, name)] == [case]


@pytest.mark.parametrize("case", ["SURPLUS", "PAID_LATE", "AMOUNT_MISMATCH", "ORPHANED_REFERENCE", "STUCK_PENDING"])
def test_unusual_money_may_be_given_back_by_itself(case: str) -> None:
    policies = Settings.load({f"SEWAPAY_ON_{case}": "refund"}).policies

    assert getattr(policies, case.lower()) is Policy.REFUND


def test_what_went_back_elsewhere_cannot_be_given_back_again() -> None:
    with pytest.raises(UnusableSetting, match="SEWAPAY_ON_REFUNDED_OUTSIDE is honour or hold"):
        Settings.load({"SEWAPAY_ON_REFUNDED_OUTSIDE": "refund"})


def test_a_booking_may_be_kept_when_its_money_goes_back() -> None:
    assert Settings.load({"SEWAPAY_ON_FULL_REFUND": "keep"}).policies.full_refund is FullRefund.KEEP


def test_policies_that_nobody_knows_are_refused_all_at_once() -> None:
    with pytest.raises(UnusableSetting) as caught:
        Settings.load({"SEWAPAY_ON_SURPLUS": "Refund", "SEWAPAY_ON_PAID_LATE": "", "SEWAPAY_ON_FULL_REFUND": "hold"})

    assert sorted(str(caught.value).splitlines()) == [
        "SEWAPAY_ON_FULL_REFUND is one of refunded, keep",
        "SEWAPAY_ON_PAID_LATE is one of honour, refund, hold",
        "SEWAPAY_ON_SURPLUS is one of honour, refund, hold",
    ]


@pytest.mark.parametrize(("written", "number"), [("1", 1), ("600", 600), ("1000000", 1000000)])
def test_a_gateway_is_asked_as_often_a_minute_as_is_written(written: str, number: int) -> None:
    assert Settings.load({"SEWAPAY_LOOKUPS_PER_MINUTE": written}).lookups_per_minute == number


@pytest.mark.parametrize("written", ["", "0", "-1", "1.5", "1e3", " 600", "1000001", "9" * 5000, "\u0663"])
def test_what_is_no_number_of_calls_is_refused(written: str) -> None:
    with pytest.raises(UnusableSetting, match="SEWAPAY_LOOKUPS_PER_MINUTE is a whole number from 1 to 1000000"):
        Settings.load({"SEWAPAY_LOOKUPS_PER_MINUTE": written})
