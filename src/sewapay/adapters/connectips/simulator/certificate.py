"""The merchant that the stand-in knows: names, a password, and a certificate that signatures are checked against.

NCHL gives a merchant a PKCS#12 file with key and certificate. The stand-in makes one for whoever runs it, once, in a
folder for temporary files that nobody else may enter, and finds it there again: whoever starts the service has to name
the same file. It guards nothing.
"""

import base64
import os
import stat
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from sewapay.standins.clock import system_now

MERCHANT_ID: Final = "550"
APP_ID: Final = "MER-550-APP-1"
APP_NAME: Final = "Stand-in"
PASSWORD: Final = "stand-in"  # noqa: S105 - the same for everybody: it guards nothing
PFX_PASSWORD: Final = "stand-in"  # noqa: S105 - likewise
"""What it knows unless it is told otherwise; the first two as in the samples of NCHL's docs."""

KEY_BITS: Final = 2048
YEARS: Final = timedelta(days=3650)


class NotOurs(Exception):
    """The folder for the file is there, and somebody else may write to it."""


@frozen(kw_only=True)
class Merchant:
    """Who may send forms and ask questions."""

    id: str = MERCHANT_ID
    app_id: str = APP_ID
    password: str = field(default=PASSWORD, repr=False)
    public_key: rsa.RSAPublicKey = field(repr=False)

    def signed(self, text: str, token: str) -> bool:
        """Whether `token` is this merchant's signature of the text: RSA with SHA-256 (PKCS#1 v1.5), in base64."""
        try:
            self.public_key.verify(base64.b64decode(token, validate=True), text.encode(), padding.PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def merchant_of(
    pfx: bytes, pfx_password: str, *, id: str = MERCHANT_ID, app_id: str = APP_ID, password: str = PASSWORD
) -> Merchant:
    """The merchant to whom NCHL issued this file. Raises ValueError for a file that is none."""
    _, certificate, _ = pkcs12.load_key_and_certificates(pfx, pfx_password.encode())
    public_key = certificate.public_key() if certificate else None
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise ValueError("the file holds no certificate of an RSA key")
    return Merchant(id=id, app_id=app_id, password=password, public_key=public_key)


def new_pfx(password: str) -> bytes:
    """A new key, and a certificate of it that it signed itself, in a PKCS#12 file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "connectIPS stand-in, a merchant")])
    now = system_now()
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + YEARS)
        .sign(key, SHA256())
    )
    return pkcs12.serialize_key_and_certificates(
        b"merchant", key, certificate, None, BestAvailableEncryption(password.encode())
    )


def own_file() -> Path:
    """Where the file of the stand-in's own merchant is; it is made when it is not there. Raises `NotOurs`."""
    folder = Path(tempfile.gettempdir()) / f"sewapay-connectips-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        raise NotOurs(f"{folder} is not a folder of this user alone: remove it")
    file = folder / "merchant.pfx"
    if not file.exists():
        _place(new_pfx(PFX_PASSWORD), file)
    return file


def _place(content: bytes, file: Path) -> None:
    """Put the file there whole, unless another process just did: then that one stays."""
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "wb") as written:
        written.write(content)
    try:
        os.link(name, file)
    except FileExistsError:
        return
    finally:
        os.unlink(name)
