"""Reading receipts as they come."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest

from axis.apps import receipts, wiring
from axis.connection import Connection
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.envelope import MessageId
from axis.core.topics import RECEIPTS
from axis.crypto.keys import load_identity
from axis.crypto.signing import CmsSigner
from axis.ports import PartitionId, Record
from axis.settings import BrokerSettings, DirectorySettings, RouterSettings, Settings, SignatureSettings
from axis.testing.clock import SettableClock
from axis.testing.pki import DevelopmentPki
from tests.attack.forge import ENVIRONMENT, Forger

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
PLACE = PartitionId(RECEIPTS, 0)
DIRECTORY = """
[[organisation]]
code = "H56"
name = "Ủy ban nhân dân tỉnh"
level = "province"
valid_from = 2025-07-01
"""


class EndlessReader:
    """Stands for `axis.consumers.kafka.PartitionReader`: the same record comes again and again."""

    value = b""

    def __init__(self, connection: Connection | None) -> None:
        del connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def partitions(self, topic: str) -> Sequence[PartitionId]:
        """Return the one partition."""
        del topic
        return (PLACE,)

    async def end(self, place: PartitionId) -> int:
        """Return where it begins."""
        del place
        return 0

    async def follow(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Yield the record for ever."""
        offset = starts[PLACE]
        while True:
            yield (Record(RECEIPTS, 0, offset, NOW, None, self.value),)
            offset += 1


async def test_who_follows_receipts_learns_of_a_new_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is signed with a certificate that was enrolled after the start is not shown as a forgery."""
    pki = DevelopmentPki.create_or_open(tmp_path / "pki", now=NOW)
    (tmp_path / "directory.toml").write_text(DIRECTORY, "utf-8")
    before = pki.enrolment_path.read_bytes()
    province = Forger("H56", CmsSigner(load_identity(pki.signing("H56", "H56").read_bytes())))
    enrolled = pki.enrolment_path.read_bytes()
    pki.enrolment_path.write_bytes(before)
    message_id = MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab")
    EndlessReader.value = province.signed(province.handover(message_id, sha256(b""), "H56", NOW), NOW)
    settings = Settings(
        folder=tmp_path,
        environment=ENVIRONMENT,
        node=OrganisationCode("H56.W00"),
        blobs="file:blobs",
        broker=BrokerSettings("", tmp_path, tmp_path),
        signatures=SignatureSettings(pki.ca_path, tmp_path),
        directory=DirectorySettings(tmp_path, pki.enrolment_path),
        router=RouterSettings(),
    )
    clock = SettableClock(NOW)
    monkeypatch.setattr(wiring, "clock", lambda: clock)
    monkeypatch.setattr(receipts, "connect_as", lambda *_: None)
    monkeypatch.setattr(receipts, "PartitionReader", EndlessReader)
    async with aclosing(receipts.receipts_to_come(settings, "auditor")) as coming:  # type: ignore[type-var] # a generator
        first = await anext(coming)
        assert first.refusal is not None
        assert first.refusal.reason == "certificate-not-enrolled"
        pki.enrolment_path.write_bytes(enrolled)
        clock.pass_by(timedelta(seconds=2))
        second = await anext(coming)
    assert second.verified is not None
