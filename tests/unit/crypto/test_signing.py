"""What a genuine signature says, and that nothing but the signed bytes verifies."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from asn1crypto import cms as oracle
from asn1crypto import core, tsp
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from axis.crypto.authority import Credential, create_authority, issue_signing, new_key
from axis.crypto.keys import SigningIdentity
from axis.crypto.refusals import SignatureRefused
from axis.crypto.signing import MAX_SIGNATURE_BYTES, CmsSigner, ValidSigner, verify_detached
from axis.errors import Unavailable

CONTENT = "Kế hoạch phòng, chống thiên tai năm 2027".encode()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_MADE = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
_AUTHORITY = create_authority(_MADE)
_CREDENTIAL = issue_signing(_AUTHORITY, "H56.3", "Sở Nội vụ tỉnh Thanh Hóa", _MADE)
_IDENTITY = SigningIdentity(_CREDENTIAL.key, _CREDENTIAL.certificate)
_SIGNATURE = CmsSigner(_IDENTITY).sign(CONTENT, _MADE)


def test_a_signature_gives_back_who_signed_when_and_how(identity: SigningIdentity, now: datetime) -> None:
    """Verification must return the algorithm, the claimed time to the second and the certificate that signed."""
    at = now + timedelta(microseconds=1234)
    facts = verify_detached(CONTENT, CmsSigner(identity).sign(CONTENT, at))
    assert (facts.algorithm, facts.legacy, facts.signing_time) == ("ecdsa-p256-sha256", False, now)
    assert facts.certificate == identity.certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("outside", [timedelta(days=-2), timedelta(days=365 * 12)])
def test_a_key_does_not_sign_when_its_certificate_is_not_valid(outside: timedelta) -> None:
    """Before its first and after its last second nobody would accept the signature; within it signs."""
    signer = ValidSigner(_IDENTITY)
    assert verify_detached(CONTENT, signer.sign(CONTENT, _MADE)).signing_time == _MADE
    with pytest.raises(Unavailable, match="have the certificate renewed") as caught:
        signer.sign(CONTENT, _MADE + outside)
    assert "gia hạn" in caught.value.args[0].vietnamese


def test_a_local_time_is_signed_as_utc(identity: SigningIdentity) -> None:
    """A signing time in Vietnam's zone must come back as the same moment in UTC."""
    at = datetime(2026, 11, 22, 6, 0, tzinfo=timezone(timedelta(hours=7)))
    assert verify_detached(b"x", CmsSigner(identity).sign(b"x", at)).signing_time.isoformat() == (
        "2026-11-21T23:00:00+00:00"
    )


def test_a_time_without_zone_is_not_signed(identity: SigningIdentity, now: datetime) -> None:
    """A naive time must be turned away, because nobody could say which moment it claims."""
    with pytest.raises(ValueError, match="without a time zone"):
        CmsSigner(identity).sign(CONTENT, now.replace(tzinfo=None))


@pytest.mark.parametrize(("year", "form"), [(2049, "utc_time"), (2050, "generalized_time")])
def test_the_form_of_the_signing_time_follows_its_year(
    identity: SigningIdentity, year: int, form: str
) -> None:
    """Times must be UTCTime up to 2049 and GeneralizedTime from 2050 (RFC 5652 11.3), and be read back."""
    at = datetime(year, 6, 1, tzinfo=UTC)
    signature = CmsSigner(identity).sign(CONTENT, at)
    attributes = oracle.ContentInfo.load(signature)["content"]["signer_infos"][0]["signed_attrs"]
    times = [attribute["values"][0] for attribute in attributes if attribute["type"].native == "signing_time"]
    assert [time.name for time in times] == [form]
    assert verify_detached(CONTENT, signature).signing_time == at


def test_the_root_stays_out_and_the_issuing_ca_goes_in(
    authority: Credential, identity: SigningIdentity, now: datetime
) -> None:
    """Self-issued certificates must not be embedded; any other certificate of the chain must."""
    other = issue_signing(authority, "H56.9", "Sở Y tế tỉnh Thanh Hóa", now)
    with_chain = SigningIdentity(
        identity.key, identity.certificate, (other.certificate, authority.certificate)
    )
    assert verify_detached(CONTENT, CmsSigner(identity).sign(CONTENT, now)).chain == ()
    assert verify_detached(CONTENT, CmsSigner(with_chain).sign(CONTENT, now)).chain == (
        other.certificate.public_bytes(Encoding.DER),
    )


@pytest.mark.parametrize("bits", [2048, 3072])
def test_rsa_keys_sign_with_pss(authority: Credential, now: datetime, bits: int) -> None:
    """An RSA key must sign with PSS, which is not legacy."""
    credential = issue_signing(authority, "H56.5", "Sở Tài chính tỉnh Thanh Hóa", now, key=new_key(bits))
    facts = verify_detached(
        CONTENT, CmsSigner(SigningIdentity(credential.key, credential.certificate)).sign(CONTENT, now)
    )
    assert (facts.algorithm, facts.legacy) == ("rsa-pss-sha256", False)


def test_an_independent_reader_finds_the_four_attributes_of_cades(
    identity: SigningIdentity, now: datetime
) -> None:
    """Another ASN.1 library must read the signature and find the attributes, with the digests they promise."""
    # The oracle knows this attribute by name only once its time-stamping part is loaded.
    assert tsp.ESSCertIDv2
    info = oracle.ContentInfo.load(CmsSigner(identity).sign(CONTENT, now), strict=True)
    signer = info["content"]["signer_infos"][0]
    found = {attribute["type"].native: attribute["values"][0] for attribute in signer["signed_attrs"]}
    assert set(found) == {"content_type", "message_digest", "signing_time", "signing_certificate_v2"}
    assert found["message_digest"].native == sha256(CONTENT).digest()
    assert found["signing_certificate_v2"]["certs"][0]["cert_hash"].native == (
        sha256(identity.certificate.public_bytes(Encoding.DER)).digest()
    )


def test_the_mirrored_ecdsa_signature_verifies_too(identity: SigningIdentity, now: datetime) -> None:
    """(r, n - s) must verify where (r, s) does: a fact of ECDSA, and why a signature's bytes identify nothing."""
    info = oracle.ContentInfo.load(CmsSigner(identity).sign(CONTENT, now))
    signer = info["content"]["signer_infos"][0]
    r, s = decode_dss_signature(signer["signature"].native)
    signer["signature"] = encode_dss_signature(r, P256_ORDER - s)
    mirrored = info.dump(force=True)
    assert verify_detached(CONTENT, mirrored).certificate == identity.certificate.public_bytes(Encoding.DER)


def test_unsigned_attributes_change_nothing(identity: SigningIdentity, now: datetime) -> None:
    """An unsigned attribute added on the way must neither break nor alter what a signature says."""
    signature = CmsSigner(identity).sign(CONTENT, now)
    info = oracle.ContentInfo.load(signature)
    info["content"]["signer_infos"][0]["unsigned_attrs"] = oracle.CMSAttributes(
        [oracle.CMSAttribute({"type": "1.2.3.4", "values": [core.Null()]})]
    )
    assert verify_detached(CONTENT, info.dump(force=True)) == verify_detached(CONTENT, signature)


def test_one_signer_serves_several_threads(identity: SigningIdentity, now: datetime) -> None:
    """Signing and verifying from many threads at once must give each its own content's facts."""
    signer = CmsSigner(identity)

    def round_trip(number: int) -> bool:
        content = b"%d" % number
        at = now + timedelta(seconds=number)
        return verify_detached(content, signer.sign(content, at)).signing_time == at

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(round_trip, range(200))) == [True] * 200


def test_no_signature_is_missing_not_malformed() -> None:
    """Empty bytes must be told apart from bytes that cannot be read."""
    with pytest.raises(SignatureRefused) as caught:
        verify_detached(CONTENT, b"")
    assert caught.value.reason == "signature-missing"


def test_an_oversized_signature_is_not_parsed() -> None:
    """One byte over the cap must be refused for its length."""
    with pytest.raises(SignatureRefused, match=r"at most 32768") as caught:
        verify_detached(CONTENT, bytes(MAX_SIGNATURE_BYTES + 1))
    assert caught.value.reason == "signature-malformed"


@given(st.integers(min_value=1, max_value=len(_SIGNATURE) - 1))
def test_no_truncated_signature_verifies(length: int) -> None:
    """A signature cut anywhere must be malformed, and nothing but a refusal may come out."""
    with pytest.raises(SignatureRefused) as caught:
        verify_detached(CONTENT, _SIGNATURE[:length])
    assert caught.value.reason == "signature-malformed"


@given(st.binary(min_size=1, max_size=64))
def test_trailing_bytes_are_malformed(extra: bytes) -> None:
    """Bytes after the signature must make it malformed: they would travel unsigned."""
    with pytest.raises(SignatureRefused) as caught:
        verify_detached(CONTENT, _SIGNATURE + extra)
    assert caught.value.reason == "signature-malformed"


@given(st.binary(min_size=1, max_size=400))
def test_garbage_is_malformed(garbage: bytes) -> None:
    """Any bytes that are not a signature must be refused as malformed."""
    with pytest.raises(SignatureRefused) as caught:
        verify_detached(CONTENT, garbage)
    assert caught.value.reason == "signature-malformed"


@given(st.binary(max_size=200))
def test_any_other_content_is_invalid(content: bytes) -> None:
    """The signature must hold for its content and for no other."""
    if content == CONTENT:
        return
    with pytest.raises(SignatureRefused) as caught:
        verify_detached(content, _SIGNATURE)
    assert caught.value.reason == "signature-invalid"


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.integers(min_value=0, max_value=len(_SIGNATURE) * 8 - 1))
def test_no_flipped_bit_passes_unnoticed(position: int) -> None:
    """With any one bit flipped, a signature must be refused; no other exception may escape."""
    octets = bytearray(_SIGNATURE)
    octets[position // 8] ^= 1 << position % 8
    with pytest.raises(SignatureRefused):
        verify_detached(CONTENT, bytes(octets))
