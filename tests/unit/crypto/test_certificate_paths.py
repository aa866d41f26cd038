"""Paths from a signer's certificate over embedded CAs to the anchor, and those that do not hold."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from axis.crypto.authority import Credential, issue, issue_signing, key_usage, new_key
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from tests.unit.crypto.validation import END_ENTITY, SIGNS, Extensions, RecordingSource, der, named, refusal


def root(now: datetime) -> Credential:
    """A self-signed CA that leaves the length of paths open."""
    key = new_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named("CA gốc"))
        .issuer_name(named("CA gốc"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=4000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Credential(key, certificate)


def subordinate(
    parent: Credential, name: str, now: datetime, *, signs: bool = True, days: int = 825
) -> Credential:
    """A CA below another; with `signs` unset its keyUsage lacks keyCertSign."""
    usage = key_usage(key_cert_sign=True) if signs else key_usage(digital_signature=True)
    authority: Extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)]
    return issue(parent, named(name), now, extensions=authority, days=days)


def test_a_path_over_an_embedded_ca(now: datetime) -> None:
    """A subordinate CA out of the message must connect to the anchor, and its absence must be refused."""
    top = root(now)
    middle = subordinate(top, "CA phục vụ các cơ quan Nhà nước", now)
    leaf = issue_signing(middle, "H56.7", "Sở Khoa học và Công nghệ", now)
    source = RecordingSource()
    validator = CertificateValidator([der(top)], revocation=source)
    assert validator.validate(der(leaf), [der(middle)], now).revocation == "good"
    assert [len(path) for path in source.asked] == [3]
    assert refusal(validator, der(leaf), now).reason == "certificate-untrusted"


def test_a_path_that_is_too_long(now: datetime) -> None:
    """A third CA between anchor and signer must be refused."""
    authorities = [root(now)]
    for number in range(3):
        authorities.append(subordinate(authorities[-1], f"CA {number}", now))
    leaf = issue_signing(authorities[-1], "H56.7", "Sở Khoa học và Công nghệ", now)
    validator = CertificateValidator([der(authorities[0])], revocation=RevocationNotChecked())
    chain = [der(authority) for authority in authorities[1:]]
    assert refusal(validator, der(leaf), now, chain).reason == "certificate-untrusted"


def test_a_subordinate_that_may_not_issue(now: datetime) -> None:
    """A CA certificate whose keyUsage lacks keyCertSign must be refused as an issuer (RFC 5280 6.1.4 n)."""
    top = root(now)
    middle = subordinate(top, "CA không ký", now, signs=False)
    leaf = issue_signing(middle, "H56.7", "Sở Khoa học và Công nghệ", now)
    validator = CertificateValidator([der(top)], revocation=RevocationNotChecked())
    assert refusal(validator, der(leaf), now, [der(middle)]).reason == "certificate-untrusted"


def test_an_expired_subordinate(now: datetime) -> None:
    """A verdict must fall, kept or not, when a CA of the path expires before the signer's certificate."""
    top = root(now)
    middle = subordinate(top, "CA sắp hết hạn", now, days=1)
    brief = Credential(middle.key, middle.certificate)
    leaf = issue(brief, named("H56.7"), now, extensions=[END_ENTITY, SIGNS], days=1)
    outlives = _outliving(brief, leaf, now)
    validator = CertificateValidator([der(top)], revocation=RevocationNotChecked(), cache_seconds=1e7)
    assert validator.validate(outlives, [der(middle)], now).revocation == "not-checked"
    assert (
        refusal(validator, outlives, now + timedelta(days=2), [der(middle)]).reason == "certificate-expired"
    )


def _outliving(issuer: Credential, like: Credential, now: datetime) -> bytes:
    """A certificate like another that is valid beyond its issuer."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(like.key.public_key())
        .serial_number(3)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
    )
    for extension in like.certificate.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)
