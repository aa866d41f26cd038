"""One envelope, mutilated in every way: never accepted as the original with another content."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from axis.consumers.verify import VerifiedEnvelope, Verifier
from axis.core.addressing import Enrolment, Level, Organisation, OrganisationCode
from axis.core.digest import sha256
from axis.core.directory import Directory
from axis.core.envelope import Envelope, Part
from axis.core.policy import AcceptancePolicy
from axis.crypto.authority import create_authority, issue_signing
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from axis.crypto.keys import SigningIdentity
from axis.crypto.signing import CmsSigner
from axis.errors import Refused
from axis.schemas import avro
from tests.attack.forge import Forger, claim, part

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scene:
    """An envelope, and who verifies it."""

    verifier: Verifier
    directory: Directory
    envelope: Envelope
    value: bytes

    def accepted(self, value: bytes) -> VerifiedEnvelope | None:
        """What is established of a record in which nothing is found wrong; None where something is."""
        with suppress(Refused):
            verified = self.verifier.verify(value, self.directory, NOW)
            if isinstance(verified, VerifiedEnvelope) and verified.fault is None:
                return verified
        return None

    def is_original(self, verified: VerifiedEnvelope) -> bool:
        """Whether everything that was signed is what was signed."""
        contents = [(each.name, each.media_type, each.digest) for each in verified.envelope.parts]
        return (
            verified.digest == self.envelope.digest
            and verified.envelope.header == self.envelope.header
            and contents == [(each.name, each.media_type, each.digest) for each in self.envelope.parts]
            and all(sha256(each.content) == each.digest for each in verified.envelope.parts if each.content)
        )


@pytest.fixture(scope="module")
def scene() -> Scene:
    """An office that is enrolled, and a document of it with three parts, one of them by claim check."""
    authority = create_authority(NOW - timedelta(days=1))
    credential = issue_signing(authority, "H56", "Ủy ban nhân dân tỉnh", NOW - timedelta(hours=1))
    certificate = credential.certificate
    code = OrganisationCode("H56")
    directory = Directory(
        (Organisation(code, "Tỉnh", Level.PROVINCE, None, None, date(2025, 7, 1), None),),
        (),
        (
            Enrolment(
                sha256(certificate.public_bytes(Encoding.DER)),
                code,
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
            ),
        ),
    )
    office = Forger("H56", CmsSigner(SigningIdentity(credential.key, certificate)))
    parts = [part("Tờ trình.pdf"), part("b.txt", b"x"), claim(b"large", "c.bin")]
    envelope = office.seal(office.header("H56.1", NOW), parts, at=NOW)
    checker = CertificateValidator([authority.certificate_pem()], revocation=RevocationNotChecked())
    verifier = Verifier(checker, AcceptancePolicy())
    return Scene(verifier, directory, envelope, avro.encode_envelope(envelope))


def test_the_envelope_itself_is_accepted(scene: Scene) -> None:
    """Otherwise the rest would prove nothing."""
    verified = scene.accepted(scene.value)
    assert verified is not None
    assert verified.signer == "H56"
    assert scene.is_original(verified)


def test_every_truncation_is_refused(scene: Scene) -> None:
    """A record that ends too early is no envelope, wherever it ends."""
    for length in range(len(scene.value)):
        with pytest.raises(Refused):
            scene.verifier.verify(scene.value[:length], scene.directory, NOW)


@given(tail=st.binary(min_size=1, max_size=20))
def test_every_trailing_byte_is_refused(scene: Scene, tail: bytes) -> None:
    """Nothing may follow."""
    with pytest.raises(Refused, match="bytes follow"):
        scene.verifier.verify(scene.value + tail, scene.directory, NOW)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_flipped_bit_makes_another_document(scene: Scene) -> None:
    """Every single bit: what is still accepted has the same signed contents, under the same digest."""
    survivors = 0
    for position in range(len(scene.value)):
        for changed in _flipped(scene.value, position):
            verified = scene.accepted(changed)
            if verified is not None:
                survivors += 1
                assert scene.is_original(verified), position
    # What is not signed may change without making another document: the size of the claim check is the only such field.
    assert survivors < 10


def _flipped(value: bytes, position: int) -> Iterator[bytes]:
    for bit in range(8):
        yield value[:position] + bytes([value[position] ^ 1 << bit]) + value[position + 1 :]


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(data=st.data())
def test_no_rearrangement_makes_another_document(scene: Scene, data: st.DataObject) -> None:
    """Cut, doubled, moved or foreign pieces: the same."""
    value = scene.value
    start, end = sorted((data.draw(st.integers(0, len(value))), data.draw(st.integers(0, len(value)))))
    piece = data.draw(
        st.sampled_from([b"", value[start:end] * 2, value[start:end][::-1]]) | st.binary(max_size=30)
    )
    verified = scene.accepted(value[:start] + piece + value[end:])
    assert verified is None or scene.is_original(verified)


PARTS = st.lists(
    st.builds(
        Part,
        st.sampled_from(["Tờ trình.pdf", "b.txt", "c.bin", "B.TXT", "../b", "header.avro", ""]),
        st.sampled_from(["application/pdf", "application/octet-stream", "a/b", ""]),
        st.integers(-1, 70_000),
        st.binary(min_size=32, max_size=32).map(sha256),
        st.none() | st.binary(max_size=30),
    ),
    max_size=4,
)


@given(parts=PARTS, header=st.none() | st.binary(max_size=40))
def test_no_other_parts_or_header_are_taken_for_the_signed_ones(
    scene: Scene, parts: list[Part], header: bytes | None
) -> None:
    """The manifest and its signature stay, everything that they cover is exchanged."""
    other = replace(scene.envelope, parts=tuple(parts), header=header or scene.envelope.header)
    assert scene.accepted(avro.encode_envelope(other)) is None
