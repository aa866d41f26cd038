"""The development PKI: what it leaves in its folder, and that asking twice changes nothing."""

import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from axis.clock import SystemClock
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from axis.crypto.keys import load_certificates, load_identity
from axis.crypto.signing import CmsSigner, verify_detached
from axis.errors import ConfigurationError
from axis.testing.pki import DevelopmentPki

WARD = ("H56.25.1", "Ủy ban nhân dân phường Hạc Thành")


@pytest.fixture
def pki(tmp_path: Path, now: datetime) -> DevelopmentPki:
    """A new PKI."""
    return DevelopmentPki.create_or_open(tmp_path / "pki", now=now)


def test_a_signing_certificate_passes_the_axis_own_checks(pki: DevelopmentPki, now: datetime) -> None:
    """What the PKI issues must sign, verify and validate against its CA."""
    identity = load_identity(pki.signing(*WARD).read_bytes())
    facts = verify_detached(b"x", CmsSigner(identity).sign(b"x", now))
    validator = CertificateValidator([pki.ca_path.read_bytes()], revocation=RevocationNotChecked())
    validator.validate(facts.certificate, facts.chain, now)
    certificate = x509.load_der_x509_certificate(facts.certificate)
    assert certificate.subject.rfc4514_string() == f"CN={WARD[0]},O={WARD[1]}"


def test_every_signing_certificate_is_enrolled(pki: DevelopmentPki) -> None:
    """The enrolment table must map each certificate's digest to its organisation and validity."""
    assert json.loads(pki.enrolment_path.read_bytes()) == {}
    certificate = load_certificates(pki.signing(*WARD).read_bytes())[0]
    assert json.loads(pki.enrolment_path.read_bytes()) == {
        certificate.fingerprint(hashes.SHA256()).hex(): {
            "organisation": WARD[0],
            "valid_from": certificate.not_valid_before_utc.isoformat(),
            "valid_to": certificate.not_valid_after_utc.isoformat(),
        }
    }


def test_asking_again_changes_nothing(tmp_path: Path, pki: DevelopmentPki, now: datetime) -> None:
    """A PKI opened again must give out the very same files."""

    def content(opened: DevelopmentPki) -> list[bytes]:
        paths = [
            *(opened.signing(*WARD), opened.client(WARD[0]), opened.server("broker", ["localhost"])),
            *(opened.ca_path, opened.enrolment_path),
        ]
        return [path.read_bytes() for path in paths]

    assert content(pki) == content(DevelopmentPki.create_or_open(tmp_path / "pki", now=now))


def test_an_expired_certificate_is_replaced_and_both_stay_enrolled(
    tmp_path: Path, pki: DevelopmentPki, now: datetime
) -> None:
    """After expiry a new certificate must be issued, while the old one stays enrolled for what it signed."""
    before = pki.signing(*WARD).read_bytes()
    later = DevelopmentPki.create_or_open(tmp_path / "pki", now=now + timedelta(days=900))
    assert later.signing(*WARD).read_bytes() != before
    assert len(json.loads(later.enrolment_path.read_bytes())) == 2


def test_a_server_is_issued_anew_for_a_new_host_only(pki: DevelopmentPki) -> None:
    """Fewer hosts must leave the certificate alone; a host that is missing must bring a new one."""
    first = pki.server("broker", ["localhost", "127.0.0.1"]).read_bytes()
    assert pki.server("broker", ["127.0.0.1"]).read_bytes() == first
    assert pki.server("broker", ["localhost", "::1"]).read_bytes() != first


def test_private_files_are_their_owners_alone(tmp_path: Path, pki: DevelopmentPki) -> None:
    """Folders must be 0700 and files 0600."""
    pki.signing(*WARD)
    pki.client(WARD[0])
    modes = {
        ("folder" if path.is_dir() else "file", path.stat().st_mode & 0o777)
        for path in [tmp_path / "pki", *(tmp_path / "pki").rglob("*")]
    }
    assert modes == {("folder", 0o700), ("file", 0o600)}


def test_keys_are_pkcs8_as_kafka_wants_them(pki: DevelopmentPki) -> None:
    """A TLS file must hold an unencrypted PKCS#8 key, then the certificate, then the CA."""
    pem = pki.server("broker", ["localhost"]).read_bytes()
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert (
        serialization.load_pem_private_key(pem, None).public_key() == load_certificates(pem)[0].public_key()
    )
    assert load_certificates(pem)[1:] == load_certificates(pki.ca_path.read_bytes())


def test_mutual_tls_between_two_of_its_certificates(tmp_path: Path) -> None:
    """Python's TLS must connect both ways, and the server must learn the client's organisation code."""
    # TLS judges by the machine's clock, so this PKI is made in the present.
    pki = DevelopmentPki.create_or_open(tmp_path / "pki", now=SystemClock().now())
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.ca_path))
    server.load_cert_chain(pki.server("broker", ["127.0.0.1"]))
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(pki.ca_path))
    client.load_cert_chain(pki.client(WARD[0]))
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)
    with ThreadPoolExecutor(1) as pool:
        accepting = pool.submit(server.wrap_socket, ours, server_side=True)
        with client.wrap_socket(theirs, server_hostname="127.0.0.1"), accepting.result(10) as accepted:
            peer = accepted.getpeercert()
    assert peer is not None
    assert peer["subject"] == ((("commonName", WARD[0]),),)


def test_a_long_name_is_cut_to_what_the_standard_allows(pki: DevelopmentPki) -> None:
    """A name of more than 64 characters must still give a certificate, with the organisation cut."""
    name = "Ban Quản lý Khu kinh tế Nghi Sơn và các khu công nghiệp tỉnh Thanh Hóa"
    certificate = load_certificates(pki.signing("H56.30", name).read_bytes())[0]
    [organisation] = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    assert organisation.value == name[:64].rstrip()


@pytest.mark.parametrize("code", ["../H56", "", "a/b", ".hidden", "x" * 65])
def test_a_code_that_is_no_file_name(pki: DevelopmentPki, code: str) -> None:
    """A code that would leave the folder must be turned away."""
    with pytest.raises(ConfigurationError, match="as a certificate name"):
        pki.client(code)


def test_a_ca_without_its_key(tmp_path: Path, pki: DevelopmentPki, now: datetime) -> None:
    """A lost CA key must be named instead of a second CA being made."""
    (tmp_path / "pki" / "ca.key.pem").unlink()
    with pytest.raises(ConfigurationError, match="restore the key"):
        DevelopmentPki.create_or_open(tmp_path / "pki", now=now)
    assert pki.ca_path.exists()


def test_a_ca_that_is_no_longer_valid(tmp_path: Path, pki: DevelopmentPki, now: datetime) -> None:
    """An expired CA must be named instead of issuing what nobody accepts."""
    with pytest.raises(ConfigurationError, match="start a new development PKI"):
        DevelopmentPki.create_or_open(tmp_path / "pki", now=now + timedelta(days=4000))
    assert pki.ca_path.exists()
