"""How connectIPS is signed to: RSA with SHA-256 (PKCS#1 v1.5) over `NAME=value` pairs, in base64.

Source: NCHL's docs ("Merchant interface" for the form, "Payment Validation" for the look-up), and public code for the
padding. Values are not escaped in what is signed, so that none of them may hold a comma or an equals sign: it would
read like another field (our guess that NCHL cares; it documents nothing).
"""

import base64
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from sewapay.wire.settings import Secret

__all__ = ["FORM_NAMES", "QUESTION_NAMES", "Merchant", "SigningKey", "UnusableKey", "key_in", "message"]

# NCHL docs, "Merchant interface": these, in this order, and `TOKEN=TOKEN` after them.
FORM_NAMES: Final = (
    "MERCHANTID",
    "APPID",
    "APPNAME",
    "TXNID",
    "TXNDATE",
    "TXNCRNCY",
    "TXNAMT",
    "REFERENCEID",
    "REMARKS",
    "PARTICULARS",
    "TOKEN",
)

# NCHL docs, "Payment Validation", "Token String Format".
QUESTION_NAMES: Final = ("MERCHANTID", "APPID", "REFERENCEID", "TXNAMT")


class UnusableKey(Exception):
    """The file holds no key that can sign; the text says why, without the file's name or its password."""


@frozen
class SigningKey:
    """The merchant's private key. No repr, log line or error shows it."""

    _key: RSAPrivateKey = field(repr=False)

    def token(self, text: str) -> str:
        """The signature over this text, in base64."""
        return base64.b64encode(self._key.sign(text.encode(), PKCS1v15(), SHA256())).decode("ascii")


@frozen(kw_only=True)
class Merchant:
    """Who we are at connectIPS: `id` in digits, the registered application, its password, and the key that signs."""

    id: str
    app_id: str
    app_name: str
    password: Secret
    key: SigningKey


def message(names: tuple[str, ...], values: Mapping[str, str]) -> str:
    """What is signed: the named values in their order."""
    return ",".join(f"{name}={values[name]}" for name in names)


def key_in(content: bytes, password: Secret | None) -> SigningKey:
    """The key in a PKCS#12 file. Raises `UnusableKey`.

    A wrong password and a file of another kind cannot be told apart reliably, so that they are one sentence.
    """
    try:
        key, _, _ = load_key_and_certificates(content, None if password is None else password.reveal().encode())
    except UnsupportedAlgorithm:
        raise UnusableKey("is encrypted in a way that is not known here: export it anew, with AES") from None
    except (ValueError, TypeError):
        raise UnusableKey("is no PKCS#12 file, or CONNECTIPS_PFX_PASSWORD does not open it") from None
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey("holds no RSA key to sign with")
    return SigningKey(key)
