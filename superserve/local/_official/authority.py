"""The certificate authority of one server. It signs only for the service's names."""

import contextlib
import datetime as dt
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ModuleNotFoundError:
    raise ImportError(
        "official addresses need the package cryptography, which makes certificates, and it is not installed: "
        "pip install 'superserve-client[official]'"
    ) from None

CA_FILE = "ca.pem"
# Longer than any run of the server. The clock of a container may be behind.
LIFE = dt.timedelta(days=30)
SKEW = dt.timedelta(hours=1)

DOMAIN = "superserve.ai"
HERE = "localhost"
CONTROL_PLANES = tuple(f"{name}.{DOMAIN}" for name in ("api", "api-usw", "api-staging"))
DATA_PLANES = tuple(f"{name}.{DOMAIN}" for name in ("sandbox", "usw-sandbox", "staging-sandbox"))


def make_authority(folder: Path) -> ssl.SSLContext:
    """Make an authority and a certificate. Write the authority's certificate to `folder`; return the context to serve with.

    The authority's key is not stored. Its certificate is valid only for the service's names (name constraints), so
    trusting it endangers no other site.
    """
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # Python's TLS reads them only from a file.
    chain = folder / "server.pem"
    chain.touch(mode=0o600)
    with _real_dates():
        # A test may freeze Python's clocks. Clients check certificates by the real clock, and files have its time.
        now = dt.datetime.fromtimestamp(chain.stat().st_mtime, dt.UTC)
        authority = _authority(authority_key, now)
        certificate = _certificate(authority, authority_key, key.public_key(), now)
    pem = serialization.Encoding.PEM
    write_private(folder / CA_FILE, authority.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(chain, certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_alpn_protocols(["http/1.1"])
    chain.unlink()
    return context


def write_private(file: Path, data: bytes) -> None:
    """Write a file that only this user can read and change."""
    file.touch(mode=0o600)
    file.write_bytes(data)


@contextlib.contextmanager
def _real_dates() -> Iterator[None]:
    """Undo what freezegun has done to the class `datetime.datetime`, for a moment.

    cryptography looks the class up once. If it found freezegun's, it would refuse all real dates later.
    """
    found = dt.datetime
    real: Any = next(kind for kind in found.__mro__ if kind.__module__ == "datetime")
    dt.datetime = real  # type: ignore[misc]
    try:
        yield
    finally:
        dt.datetime = found  # type: ignore[misc]


def _authority(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "superserve.local")])
    # No constraint on addresses: Bun refuses certificates that have one.
    permitted = [x509.DNSName(DOMAIN), x509.DNSName(HERE)]
    return (
        _builder(name, name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "superserve.local server")])
    # A wildcard stands for one label only.
    names = [*CONTROL_PLANES, *DATA_PLANES, *(f"*.{host}" for host in DATA_PLANES), HERE, f"*.{HERE}"]
    return (
        _builder(name, authority.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in names]), critical=False)
        # Python 3.13 requires both key identifiers.
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
