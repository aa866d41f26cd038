"""OpenSSL accepts the axis's signatures, and the axis OpenSSL's: an auditor needs nothing else."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from axis.crypto.authority import create_authority, issue_signing, new_key
from axis.crypto.keys import load_identity
from axis.crypto.refusals import SignatureRefused
from axis.crypto.signing import CmsSigner, verify_detached
from tests.unit.crypto.forge import CONTENT

MADE = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)


def openssl(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run OpenSSL's command-line tool."""
    return subprocess.run(
        ["openssl", *map(str, arguments)], cwd=cwd, capture_output=True, check=False, timeout=30
    )


@pytest.fixture(params=[None, 2048], ids=["p-256", "rsa-2048"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with `ca.pem`, `signer.pem` (key and certificate) and `content`."""
    authority = create_authority(MADE)
    signer = issue_signing(authority, "H56.8", "Sở Giáo dục và Đào tạo", MADE, key=new_key(request.param))
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem())
    (tmp_path / "signer.pem").write_bytes(signer.key_pem() + signer.certificate_pem())
    (tmp_path / "content").write_bytes(CONTENT)
    return tmp_path


def verify_by_openssl(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """`openssl cms -verify -cades` of `signature` over `content`, at the time of signing."""
    return openssl(
        *("cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "signature", "-content", "content"),
        *("-CAfile", "ca.pem", "-attime", str(int(MADE.timestamp()) + 60), "-out", "verified"),
        cwd=folder,
    )


def test_openssl_verifies_ours(folder: Path) -> None:
    """OpenSSL must verify our signatures as CAdES, up to the CA, and must not verify them over other content."""
    identity = load_identity((folder / "signer.pem").read_bytes())
    (folder / "signature").write_bytes(CmsSigner(identity).sign(CONTENT, MADE))
    outcome = verify_by_openssl(folder)
    assert outcome.returncode == 0, outcome.stderr
    assert (folder / "verified").read_bytes() == CONTENT
    (folder / "content").write_bytes(CONTENT + b".")
    assert verify_by_openssl(folder).returncode != 0


@pytest.mark.parametrize(
    ("folder", "options", "algorithm"),
    [
        (None, [], "ecdsa-p256-sha256"),
        (2048, [], "rsa-pkcs1v15-sha256"),
        (2048, ["-keyopt", "rsa_padding_mode:pss"], "rsa-pss-sha256"),
    ],
    indirect=["folder"],
    ids=["p-256", "rsa-pkcs1", "rsa-pss"],
)
def test_we_verify_openssls(folder: Path, options: list[str], algorithm: str) -> None:
    """Signatures of `openssl cms -sign -cades` must verify, with PKCS#1 v1.5 flagged as legacy."""
    identity = load_identity((folder / "signer.pem").read_bytes())
    outcome = openssl(
        *("cms", "-sign", "-cades", "-binary", "-md", "sha256", "-outform", "DER", "-in", "content"),
        *("-signer", "signer.pem", "-certfile", "ca.pem", "-out", "signature", *options),
        cwd=folder,
    )
    assert outcome.returncode == 0, outcome.stderr
    facts = verify_detached(CONTENT, (folder / "signature").read_bytes())
    assert (facts.algorithm, facts.legacy) == (algorithm, algorithm == "rsa-pkcs1v15-sha256")
    assert facts.certificate == identity.certificate.public_bytes(Encoding.DER)
    assert len(facts.chain) == 1
    assert abs(facts.signing_time - datetime.fromtimestamp((folder / "signature").stat().st_mtime, UTC)) < (
        timedelta(minutes=1)
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-md", "sha256"], "signature-malformed"),
        (["-cades", "-md", "sha512"], "algorithm-refused"),
        (["-md", "sha256", "-noattr"], "signature-malformed"),
        (["-cades", "-md", "sha256", "-nodetach"], "signature-malformed"),
        (["-cades", "-md", "sha256", "-nocerts"], "signature-malformed"),
        (["-cades", "-md", "sha256", "-stream", "-indef", "-nodetach"], "signature-malformed"),
    ],
    ids=["not-cades", "sha512", "no-attributes", "attached", "no-certificates", "ber"],
)
def test_what_openssl_can_also_make(folder: Path, options: list[str], reason: str) -> None:
    """Signatures that OpenSSL makes with other options must be refused, each with its reason."""
    outcome = openssl(
        *("cms", "-sign", "-binary", "-outform", "DER", "-in", "content"),
        *("-signer", "signer.pem", "-out", "signature", *options),
        cwd=folder,
    )
    assert outcome.returncode == 0, outcome.stderr
    with pytest.raises(SignatureRefused) as caught:
        verify_detached(CONTENT, (folder / "signature").read_bytes())
    assert caught.value.reason == reason


def test_openssls_key_identifier(folder: Path) -> None:
    """A signer named by `openssl cms -sign -keyid` must be found."""
    outcome = openssl(
        *(
            "cms",
            "-sign",
            "-cades",
            "-keyid",
            "-binary",
            "-md",
            "sha256",
            "-outform",
            "DER",
            "-in",
            "content",
        ),
        *("-signer", "signer.pem", "-out", "signature"),
        cwd=folder,
    )
    assert outcome.returncode == 0, outcome.stderr
    identity = load_identity((folder / "signer.pem").read_bytes())
    facts = verify_detached(CONTENT, (folder / "signature").read_bytes())
    assert facts.certificate == identity.certificate.public_bytes(Encoding.DER)
