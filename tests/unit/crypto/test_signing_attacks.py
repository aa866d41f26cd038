"""One attack for each check of a signature; each must fail when its check is removed."""

from datetime import datetime
from hashlib import sha1, sha256, sha512

import pytest
from asn1crypto import cms as oracle
from asn1crypto import core
from asn1crypto import x509 as oracle_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from axis.crypto.authority import Credential, issue_signing, new_key
from axis.crypto.keys import SigningIdentity
from axis.crypto.signing import CmsSigner, verify_detached
from tests.unit.crypto.forge import (
    CONTENT,
    Structure,
    embedded,
    fingerprint,
    forged,
    identifying,
    refusal,
    replaced,
)


def test_the_forge_itself_makes_signatures_that_verify(identity: SigningIdentity, now: datetime) -> None:
    """Without a change, a forged signature must verify: otherwise the attacks below would prove nothing."""
    assert verify_detached(CONTENT, forged(identity, now, lambda _signed, _signer: None)).signing_time == now


def test_altered_content(identity: SigningIdentity, now: datetime) -> None:
    """Content that differs in one byte must be refused by its digest."""
    found = refusal(CmsSigner(identity).sign(CONTENT, now), CONTENT + b" ")
    assert found.reason == "signature-invalid"
    assert "message digest" in found.detail


def test_attributes_signed_by_another_key(identity: SigningIdentity, now: datetime) -> None:
    """Attributes that somebody else signed must be refused."""
    other = new_key()
    assert isinstance(other, ec.EllipticCurvePrivateKey)
    signature = forged(
        identity,
        now,
        lambda _signed, _signer: None,
        sign=lambda attributes: other.sign(attributes, ec.ECDSA(hashes.SHA256())),
    )
    found = refusal(signature)
    assert found.reason == "signature-invalid"
    assert "key" in found.detail


def test_another_certificate_of_the_same_key(
    authority: Credential, identity: SigningIdentity, now: datetime
) -> None:
    """A certificate swapped for another of the same key must be refused: the signer did not sign under it."""
    swapped = issue_signing(authority, "H56.1", "Văn phòng Ủy ban nhân dân tỉnh", now, key=identity.key)

    def change(signed: Structure, signer: Structure) -> None:
        signed["certificates"] = embedded(swapped.certificate.public_bytes(Encoding.DER))
        signer["sid"].chosen["serial_number"] = swapped.certificate.serial_number

    found = refusal(forged(identity, now, change))
    assert found.reason == "signature-invalid"
    assert "another certificate" in found.detail


def test_signing_certificate_with_another_serial_number(identity: SigningIdentity, now: datetime) -> None:
    """A signing certificate attribute with the right digest and a wrong serial number must be refused."""
    issuer = oracle_x509.GeneralName(
        "directory_name", oracle_x509.Name.load(identity.certificate.issuer.public_bytes())
    )
    value = identifying(fingerprint(identity), issuer_serial={"issuer": [issuer], "serial_number": 7})
    signature = forged(identity, now, lambda _, signer: replaced(signer, "signing_certificate_v2", [value]))
    assert refusal(signature).reason == "signature-invalid"


def test_signing_certificate_by_another_digest(identity: SigningIdentity, now: datetime) -> None:
    """A signing certificate attribute by another digest than SHA-256 must be refused as an algorithm."""
    digest = sha512(identity.certificate.public_bytes(Encoding.DER)).digest()
    value = identifying(digest, hash_algorithm={"algorithm": "sha512"})
    signature = forged(identity, now, lambda _, signer: replaced(signer, "signing_certificate_v2", [value]))
    assert refusal(signature).reason == "algorithm-refused"


def test_signing_certificate_with_its_digest_algorithm_spelled_out(
    identity: SigningIdentity, now: datetime
) -> None:
    """Naming SHA-256 although it is the default must be accepted: other tools write it so."""
    value = identifying(fingerprint(identity), hash_algorithm={"algorithm": "sha256"})
    encoded = value.dump(force=True)
    signature = forged(identity, now, lambda _, signer: replaced(signer, "signing_certificate_v2", [value]))
    assert encoded in signature
    assert verify_detached(CONTENT, signature).algorithm == "ecdsa-p256-sha256"


@pytest.mark.parametrize("name", ["content_type", "message_digest", "signing_time", "signing_certificate_v2"])
def test_a_missing_attribute(identity: SigningIdentity, now: datetime, name: str) -> None:
    """Each of the four attributes must be there."""
    found = refusal(forged(identity, now, lambda _, signer: replaced(signer, name, [])))
    assert found.reason == "signature-malformed"
    assert "0 values" in found.detail


def test_an_attribute_twice(identity: SigningIdentity, now: datetime) -> None:
    """A second message digest beside the right one must be refused: readers would disagree on which counts."""
    digests = [sha256(text).digest() for text in (CONTENT, b"other")]
    signature = forged(identity, now, lambda _, signer: replaced(signer, "message_digest", digests))
    assert "twice" in refusal(signature).detail


def test_an_attribute_with_two_values(identity: SigningIdentity, now: datetime) -> None:
    """A message digest attribute with two values must be refused for the same reason."""

    def change(_signed: Structure, signer: Structure) -> None:
        for attribute in signer["signed_attrs"]:
            if attribute["type"].native == "message_digest":
                attribute["values"] = [sha256(text).digest() for text in (CONTENT, b"other")]

    found = refusal(forged(identity, now, change))
    assert found.reason == "signature-malformed"
    assert "2 values" in found.detail


def test_content_type_attribute_of_another_type(identity: SigningIdentity, now: datetime) -> None:
    """A content type attribute that differs from the content type must be refused (RFC 5652 11.1)."""
    signature = forged(identity, now, lambda _, signer: replaced(signer, "content_type", ["signed_data"]))
    assert "content-type attribute" in refusal(signature).detail


def test_content_of_another_type(identity: SigningIdentity, now: datetime) -> None:
    """A signature over another type than plain data must be refused: a time-stamp is not a document."""

    def change(signed: Structure, signer: Structure) -> None:
        signed["encap_content_info"]["content_type"] = "tst_info"
        replaced(signer, "content_type", ["tst_info"])

    assert "expected id-data" in refusal(forged(identity, now, change)).detail


def test_another_kind_of_message(identity: SigningIdentity, now: datetime) -> None:
    """A ContentInfo of another type around a genuine SignedData must be refused."""
    signature = CmsSigner(identity).sign(CONTENT, now)
    signed_data, digested_data = bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d010705")
    assert "expected signed-data" in refusal(signature.replace(signed_data, digested_data, 1)).detail


def test_attached_content(identity: SigningIdentity, now: datetime) -> None:
    """A signature that brings its own content must be refused, even where both contents agree."""

    def change(signed: Structure, _signer: Structure) -> None:
        signed["encap_content_info"]["content"] = core.OctetString(CONTENT)

    found = refusal(forged(identity, now, change))
    assert found.reason == "signature-malformed"
    assert "detached" in found.detail


def test_two_signers(authority: Credential, identity: SigningIdentity, now: datetime) -> None:
    """A second signer must be refused: nobody could say whose document it is."""
    other = issue_signing(authority, "H56.2", "Sở Tư pháp tỉnh Thanh Hóa", now)
    extra = oracle.ContentInfo.load(
        CmsSigner(SigningIdentity(other.key, other.certificate)).sign(CONTENT, now)
    )

    def change(signed: Structure, signer: Structure) -> None:
        signed["signer_infos"] = [signer.copy(), extra["content"]["signer_infos"][0]]

    found = refusal(forged(identity, now, change))
    assert found.reason == "signature-malformed"
    assert "2 signers" in found.detail


def test_no_signed_attributes(identity: SigningIdentity, now: datetime) -> None:
    """A bare signature over the content must be refused: it names neither certificate nor time."""

    def change(_signed: Structure, signer: Structure) -> None:
        signer["signed_attrs"] = None

    assert "no signed attributes" in refusal(forged(identity, now, change)).detail


def test_sha1_digest(identity: SigningIdentity, now: datetime) -> None:
    """A SHA-1 message digest must be refused as an algorithm."""

    def change(signed: Structure, signer: Structure) -> None:
        signed["digest_algorithms"] = [{"algorithm": "sha1"}]
        signer["digest_algorithm"] = {"algorithm": "sha1"}
        replaced(signer, "message_digest", [sha1(CONTENT, usedforsecurity=False).digest()])

    assert refusal(forged(identity, now, change)).reason == "algorithm-refused"


@pytest.mark.parametrize("place", ["digest_algorithms", "digest_algorithm"])
def test_digest_algorithms_that_disagree(identity: SigningIdentity, now: datetime, place: str) -> None:
    """SHA-256 must be named in both places, even where the digest itself is right."""

    def change(signed: Structure, signer: Structure) -> None:
        if place == "digest_algorithms":
            signed["digest_algorithms"] = [{"algorithm": "md5"}]
        else:
            signer["digest_algorithm"] = {"algorithm": "sha512"}

    assert refusal(forged(identity, now, change)).reason == "algorithm-refused"


def test_two_digest_algorithms(identity: SigningIdentity, now: datetime) -> None:
    """A second digest algorithm must be refused with one signer, even where it is SHA-256 spelled otherwise."""

    def change(signed: Structure, _signer: Structure) -> None:
        signed["digest_algorithms"] = [
            {"algorithm": "sha256"},
            {"algorithm": "sha256", "parameters": core.Null()},
        ]

    assert "2 digest algorithms" in refusal(forged(identity, now, change)).detail


@pytest.mark.parametrize("version", ["v3", "v0"])
def test_a_version_that_does_not_fit(identity: SigningIdentity, now: datetime, version: str) -> None:
    """A SignerInfo version other than the one of its form must be refused."""

    def change(_signed: Structure, signer: Structure) -> None:
        signer["version"] = version

    assert "version" in refusal(forged(identity, now, change)).detail


def test_a_signer_named_by_key_identifier(identity: SigningIdentity, now: datetime) -> None:
    """Naming the signer by subject key identifier, with the versions that go with it, must be accepted."""
    identifier = identity.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value

    def change(signed: Structure, signer: Structure) -> None:
        signed["version"], signer["version"] = "v3", "v3"
        signer["sid"] = oracle.SignerIdentifier(
            "subject_key_identifier", core.OctetString(identifier.digest, implicit=0)
        )

    signature = forged(identity, now, change)
    assert verify_detached(CONTENT, signature).signing_time == now


def test_the_signers_certificate_is_not_embedded(
    authority: Credential, identity: SigningIdentity, now: datetime
) -> None:
    """A signature that carries only other certificates must be refused."""

    def change(signed: Structure, _signer: Structure) -> None:
        encoded = authority.certificate.public_bytes(Encoding.DER)
        signed["certificates"] = embedded(encoded)

    assert "got 0 certificates of the signer" in refusal(forged(identity, now, change)).detail


def test_the_signers_certificate_twice(identity: SigningIdentity, now: datetime) -> None:
    """A certificate set with a repetition must be refused: it is no set."""

    def change(signed: Structure, _signer: Structure) -> None:
        signed["certificates"] = embedded(*[identity.certificate.public_bytes(Encoding.DER)] * 2)

    assert "none twice" in refusal(forged(identity, now, change)).detail


def test_a_certificate_of_an_unknown_version(identity: SigningIdentity, now: datetime) -> None:
    """An embedded certificate that cannot be read must end in a refusal, not in the library's own error."""
    version_3, version_4 = bytes.fromhex("a003020102"), bytes.fromhex("a003020103")
    signature = CmsSigner(identity).sign(CONTENT, now)
    assert "unreadable embedded certificate" in refusal(signature.replace(version_3, version_4, 1)).detail


def test_too_many_certificates(authority: Credential, identity: SigningIdentity, now: datetime) -> None:
    """A ninth certificate must be refused before any of them is parsed."""
    others = tuple(issue_signing(authority, f"H56.{n}", "Xã", now).certificate for n in range(8))
    crowd = SigningIdentity(identity.key, identity.certificate, others)
    assert "9 certificates" in refusal(CmsSigner(crowd).sign(CONTENT, now)).detail


def test_signing_time_in_the_wrong_form(identity: SigningIdentity, now: datetime) -> None:
    """A time before 2050 as GeneralizedTime must be refused (RFC 5652 11.3)."""
    time = oracle.Time("generalized_time", core.GeneralizedTime(now))
    signature = forged(identity, now, lambda _, signer: replaced(signer, "signing_time", [time]))
    assert "GeneralizedTime" in refusal(signature).detail


def test_attributes_out_of_order(identity: SigningIdentity, now: datetime) -> None:
    """Attributes that are not sorted as DER asks must be refused: there is one encoding of a signed set."""
    signature = CmsSigner(identity).sign(CONTENT, now)
    attributes = oracle.ContentInfo.load(signature)["content"]["signer_infos"][0]["signed_attrs"]
    listed = [attribute.dump() for attribute in attributes]
    unsorted = signature.replace(b"".join(listed), b"".join(reversed(listed)))
    assert unsorted != signature
    assert refusal(unsorted).reason == "signature-malformed"
