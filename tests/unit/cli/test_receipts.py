"""`axis receipts`: the exact bytes for other people's tools."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from axis.apps.receipts import ReadReceipt
from axis.cli.receipts import write_raw
from axis.consumers.verify import VerifiedReceipt
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.disposition import Reason
from axis.core.envelope import MessageId
from axis.core.receipt import Event, Receipt, SignatureRecord, SignedReceipt, Source
from axis.core.topics import RECEIPTS
from axis.errors import Refused

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
AXIS = OrganisationCode("H56.W00")


def verified(statement: bytes) -> VerifiedReceipt:
    """A receipt whose issuer is established."""
    receipt = Receipt(
        event=Event.SUBMISSION_ACCEPTANCE,
        environment="test",
        message_id=MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab"),
        envelope_digest=sha256(b""),
        sender=OrganisationCode("H56"),
        issuer=AXIS,
        occurred_at=NOW,
        outcomes=(),
        directory_version="sha256:0",
        policy_version="2026-11",
    )
    signature = SignatureRecord("ecdsa-sha256", False, sha256(b""), NOW, "not-checked")
    return VerifiedReceipt(AXIS, signature, receipt, SignedReceipt(statement, b"signature"))


def test_only_what_was_verified_is_written_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forged receipt between two genuine ones is no evidence: it gets no file, and the count says so."""
    receipts = [
        ReadReceipt(Source(RECEIPTS, 0, 0), NOW, verified(b"first"), None),
        ReadReceipt(Source(RECEIPTS, 0, 1), NOW, None, Refused(Reason.SIGNATURE_INVALID, "forged")),
        ReadReceipt(Source(RECEIPTS, 0, 2), NOW, verified(b"third"), None),
    ]
    write_raw(receipts, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["1.signature", "1.statement", "3.signature", "3.statement"]
    assert (tmp_path / "3.statement").read_bytes() == b"third"
    told = capsys.readouterr().err
    assert "Đã ghi 2 biên nhận" in told
    assert "Wrote 2 receipts" in told
    assert "1 biên nhận không kiểm chứng được" in told
