"""Which certificates may sign documents, at which moment, and why the others may not."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from asn1crypto import x509 as oracle_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from axis.crypto.authority import (
    Credential,
    create_authority,
    issue,
    issue_client,
    issue_server,
    issue_signing,
    key_usage,
    new_key,
)
from axis.crypto.certificates import CertificateFacts, CertificateValidator, RevocationNotChecked
from axis.errors import ConfigurationError
from tests.unit.crypto.validation import END_ENTITY, SIGNS, Extensions, RecordingSource, der, named, refusal


@pytest.fixture
def validator(authority: Credential) -> CertificateValidator:
    """A validator that trusts the development CA, and keeps verdicts as long as they can be kept at all."""
    return CertificateValidator(
        [authority.certificate_pem()], revocation=RevocationNotChecked(), cache_seconds=1e8
    )


@pytest.fixture
def leaf(authority: Credential, now: datetime) -> Credential:
    """A signing certificate of a ward."""
    return issue_signing(authority, "H56.25.1", "Ủy ban nhân dân phường Hạc Thành", now)


def fingerprint(credential: Credential) -> bytes:
    """The SHA-256 of a certificate."""
    return credential.certificate.fingerprint(hashes.SHA256())


def test_a_good_certificate_gives_its_facts(
    validator: CertificateValidator, leaf: Credential, now: datetime
) -> None:
    """An accepted certificate must come back as facts, with the honest word that revocation was not looked at."""
    assert validator.validate(der(leaf), (), now) == CertificateFacts(fingerprint(leaf), "not-checked")


def test_the_moment_counts_not_its_time_zone(
    validator: CertificateValidator, leaf: Credential, now: datetime
) -> None:
    """The last valid second, told in Vietnam's zone, must be valid, and the next second must not."""
    last = (now + timedelta(days=825)).astimezone(timezone(timedelta(hours=7)))
    assert validator.validate(der(leaf), (), last).sha256 == fingerprint(leaf)
    assert refusal(validator, der(leaf), last + timedelta(seconds=1)).reason == "certificate-expired"


@pytest.mark.parametrize("offset", [timedelta(hours=-1, seconds=-1), timedelta(days=825, seconds=1)])
def test_outside_its_validity(
    validator: CertificateValidator, leaf: Credential, now: datetime, offset: timedelta
) -> None:
    """Expired and not yet valid must both be refused, also right after the certificate was accepted."""
    validator.validate(der(leaf), (), now)
    assert refusal(validator, der(leaf), now + offset).reason == "certificate-expired"


def test_another_ca_of_the_same_name(validator: CertificateValidator, now: datetime) -> None:
    """A certificate of a CA that only bears the anchor's name must be refused, even with that CA sent along."""
    impostor = create_authority(now)
    leaf = issue_signing(impostor, "H56.25.1", "Ủy ban nhân dân phường Hạc Thành", now)
    assert refusal(validator, der(leaf), now, [der(impostor)]).reason == "certificate-untrusted"


def test_self_signed(validator: CertificateValidator, now: datetime) -> None:
    """A certificate that vouches for itself must be refused."""
    key = new_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named("H56.25.1"))
        .issuer_name(named("H56.25.1"))
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(*END_ENTITY)
        .add_extension(*SIGNS)
        .sign(key, hashes.SHA256())
    )
    assert refusal(validator, certificate.public_bytes(Encoding.DER), now).reason == "certificate-untrusted"


def test_an_organisation_is_not_an_authority(
    validator: CertificateValidator, leaf: Credential, now: datetime
) -> None:
    """A certificate issued with an organisation's own signing key must be refused."""
    below = issue_signing(leaf, "H56.1", "Văn phòng Ủy ban nhân dân tỉnh", now)
    assert refusal(validator, der(below), now, [der(leaf)]).reason == "certificate-untrusted"


def test_an_anchor_does_not_sign_documents(
    validator: CertificateValidator, authority: Credential, now: datetime
) -> None:
    """The CA's own certificate must be refused as a signer's, although it is trusted."""
    assert refusal(validator, der(authority), now).reason == "certificate-usage"


@pytest.mark.parametrize(
    "extensions",
    [
        [(x509.BasicConstraints(ca=True, path_length=None), True), SIGNS],
        [END_ENTITY, (key_usage(digital_signature=True, key_cert_sign=True), True)],
        [END_ENTITY, (key_usage(crl_sign=True), True)],
        [END_ENTITY],
        [END_ENTITY, SIGNS, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)],
    ],
    ids=["ca", "keyCertSign", "neither-bit", "no-keyUsage", "purpose"],
)
def test_a_certificate_for_another_use(
    validator: CertificateValidator, authority: Credential, now: datetime, extensions: Extensions
) -> None:
    """CA certificates, wrong or missing key usage and purposes without documents must be refused."""
    other = issue(authority, named("H56.25.1"), now, extensions=extensions)
    assert refusal(validator, der(other), now).reason == "certificate-usage"


@pytest.mark.parametrize(
    "extensions",
    [
        [(key_usage(content_commitment=True), False)],
        [END_ENTITY, SIGNS],
        [END_ENTITY, SIGNS, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SMARTCARD_LOGON]), False)],
        [
            END_ENTITY,
            SIGNS,
            (
                x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)]),
                True,
            ),
        ],
    ],
    ids=["non-repudiation-only", "no-purpose", "smart-card", "critical-policies"],
)
def test_profiles_in_use_are_accepted(
    validator: CertificateValidator, authority: Credential, now: datetime, extensions: Extensions
) -> None:
    """The profiles that certificates of the Government CA have must be accepted, the sparse old one too."""
    other = issue(authority, named("H56.25.1"), now, extensions=extensions)
    assert validator.validate(der(other), (), now).sha256 == fingerprint(other)


def test_an_unknown_critical_extension(
    validator: CertificateValidator, authority: Credential, now: datetime
) -> None:
    """A critical extension that nobody here understands must be refused (RFC 5280 4.2)."""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    other = issue(authority, named("H56.25.1"), now, extensions=[END_ENTITY, SIGNS, (unknown, True)])
    assert refusal(validator, der(other), now).reason == "certificate-untrusted"


def test_tls_certificates_differ_in_use(
    validator: CertificateValidator, authority: Credential, now: datetime
) -> None:
    """A client certificate carries a purpose that tokens in use share; a certificate for servers alone does not pass."""
    client = issue_client(authority, "H56.25.1", now)
    server = issue_server(authority, "broker", ["localhost"], now)
    assert validator.validate(der(client), (), now).sha256 == fingerprint(client)
    assert validator.validate(der(server), (), now).sha256 == fingerprint(server)


@pytest.mark.parametrize("kind", [1024, ec.SECP384R1()], ids=["rsa-1024", "p-384"])
def test_a_key_that_may_not_sign(
    validator: CertificateValidator, authority: Credential, now: datetime, kind: ec.EllipticCurve | int
) -> None:
    """Short RSA keys and other curves must be refused, which the path library itself does not do."""
    weak = issue_signing(authority, "H56.25.1", "Ủy ban nhân dân phường Hạc Thành", now, key=new_key(kind))
    assert refusal(validator, der(weak), now).reason == "algorithm-refused"


def test_a_revoked_certificate_falls_with_its_kept_verdict(
    authority: Credential, leaf: Credential, now: datetime
) -> None:
    """A revocation must count as soon as a verdict is too old to be reused; until then nobody is asked again."""
    source = RecordingSource()
    validator = CertificateValidator([der(authority)], revocation=source, cache_seconds=60)
    validator.validate(der(leaf), (), now)
    source.revoked.add(leaf.certificate.serial_number)
    validator.validate(der(leaf), (), now + timedelta(seconds=60))
    assert len(source.asked) == 1
    assert refusal(validator, der(leaf), now + timedelta(seconds=61)).reason == "certificate-revoked"


def test_caps_on_what_is_parsed(
    validator: CertificateValidator, authority: Credential, leaf: Credential, now: datetime
) -> None:
    """Oversized certificates, long chains and crowds of extensions must be refused by their number."""
    crowd = [
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{n}"), b"\x05\x00"), False)
        for n in range(33)
    ]
    crowded = issue(authority, named("H56.25.1"), now, extensions=[END_ENTITY, SIGNS, *crowd])
    assert "at most 32" in refusal(validator, der(crowded), now).detail
    assert "at most 16384" in refusal(validator, bytes(16385), now).detail
    assert "at most 4" in refusal(validator, der(leaf), now, [der(leaf)] * 5).detail


def test_a_ca_whose_key_makes_verifying_dear(
    validator: CertificateValidator, leaf: Credential, now: datetime
) -> None:
    """Anyone may embed some of them under one name, and looking for a path tries each against each."""
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    dear = rsa.RSAPublicNumbers(2**2047 + 1, modulus).public_key()
    authority = create_authority(now)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named("CA"))
        .issuer_name(authority.certificate.subject)
        .public_key(dear)
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(authority.key, hashes.SHA256())
    )
    found = refusal(validator, der(leaf), now, [certificate.public_bytes(Encoding.DER)])
    assert (found.reason, "an exponent of" in found.detail) == ("algorithm-refused", True)


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_a_serial_number_that_is_not_positive(
    validator: CertificateValidator, leaf: Credential, now: datetime
) -> None:
    """A serial number of zero must be refused (RFC 5280 4.1.2.2)."""
    certificate = oracle_x509.Certificate.load(der(leaf))
    certificate["tbs_certificate"]["serial_number"] = 0
    found = refusal(validator, certificate.dump(force=True), now)
    assert "expected a positive one" in found.detail


@given(st.binary(max_size=300))
def test_garbage_is_untrusted(garbage: bytes) -> None:
    """Bytes that are no certificate must be refused, and nothing but a refusal may come out."""
    anchor = create_authority(datetime(2026, 11, 22, tzinfo=UTC))
    validator = CertificateValidator([der(anchor)], revocation=RevocationNotChecked())
    found = refusal(validator, garbage, datetime(2026, 11, 22, tzinfo=UTC))
    assert found.reason == "certificate-untrusted"


def test_many_threads_agree(validator: CertificateValidator, authority: Credential, now: datetime) -> None:
    """Validation from many threads must give each certificate its own facts."""
    leaves = [issue_signing(authority, f"H56.26.{n}", "Ủy ban nhân dân xã", now) for n in range(20)]
    with ThreadPoolExecutor(4) as pool:
        facts = list(pool.map(lambda leaf: validator.validate(der(leaf), (), now), leaves * 10))
    assert [fact.sha256 for fact in facts] == [fingerprint(leaf) for leaf in leaves] * 10


@pytest.mark.parametrize("anchors", [[], [b"not a certificate"]], ids=["none", "unreadable"])
def test_anchors_that_cannot_be_used(anchors: list[bytes]) -> None:
    """A validator without a readable anchor must not come into being."""
    with pytest.raises(ConfigurationError):
        CertificateValidator(anchors, revocation=RevocationNotChecked())


def test_an_anchor_must_be_an_authority(leaf: Credential) -> None:
    """An organisation's certificate must be turned away as an anchor."""
    with pytest.raises(ConfigurationError, match="is not a CA certificate"):
        CertificateValidator([der(leaf)], revocation=RevocationNotChecked())
