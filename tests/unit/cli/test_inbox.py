"""`axis inbox`: one receipt that is not sent keeps nobody from the others, nor from what has come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from axis.cli import inbox as commands
from axis.cli.exit_codes import ExitCode
from axis.cli.inbox_rows import NOT_IN_GROUP
from axis.core.addressing import Group, OrganisationCode
from axis.core.envelope import Envelope
from axis.core.topics import inbox_topic
from axis.errors import OutcomeUnknown, Refused
from axis.ports import Append
from axis.schemas import avro
from axis.storage.blobs import open_store
from axis.storage.rejections import Rejections
from tests.attack.forge import message_id_of
from tests.unit.consumers.recipient import Recipient
from tests.unit.consumers.town import OFFICE, OTHER_WARD, WARD, Site, Town, found_town

REFUSED = Refused("broker-refused", "too large")
SILENT = OutcomeUnknown("no answer within 30 s")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Everybody with keys."""
    return found_town(tmp_path_factory.mktemp("town"))


@dataclass(slots=True)
class Lane:
    """A writer to which the receipts about some senders' documents do not get through."""

    failures: dict[str, Exception] = field(default_factory=dict)
    appended: int = 0

    async def append(self, append: Append) -> int:
        """Fail for some."""
        self.appended += 1
        if (failure := self.failures.get(append.key.decode())) is not None:
            raise failure
        return 0


@dataclass(slots=True)
class Desk:
    """The ward's node with documents of the office and of the other ward."""

    town: Town
    folder: Path
    lane: Lane = field(default_factory=Lane)
    site: Site = field(init=False)
    ward: Recipient = field(init=False)
    letters: list[Envelope] = field(init=False)

    def __post_init__(self) -> None:
        self.site = Site(self.town)
        self.ward = Recipient(self.site, WARD, writer=self.lane)
        self.letters = [self.town.letter(code, WARD) for code in (OFFICE, OTHER_WARD)]
        for letter in self.letters:
            self.put(avro.encode_envelope(letter))

    def put(self, value: bytes) -> None:
        """Write a record into the ward's inbox."""
        self.site.bus.append(Append(inbox_topic(WARD), 0, b"", value))

    @asynccontextmanager
    async def open_node(self, data: Path, organisation: str) -> AsyncIterator[SimpleNamespace]:
        """Stand for `axis.cli.nodes.open_node`."""
        del data
        yield SimpleNamespace(
            code=OrganisationCode(organisation),
            folder=self.folder,
            inbox=self.ward.inbox,
            taker=self.ward.taker,
            journal=self.ward.journal,
            blobs=open_store("memory:", self.folder),
            directory=self.ward.directory,
        )


@pytest.fixture
def desk(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The node that the commands open."""
    made = Desk(town, tmp_path)
    monkeypatch.setattr(commands, "open_node", made.open_node)
    return made


@pytest.mark.parametrize(
    ("failures", "code", "waiting"),
    [
        ({}, ExitCode.OK, []),
        ({OFFICE: REFUSED}, ExitCode.PARTLY_DONE, [OFFICE]),
        ({OFFICE: REFUSED, OTHER_WARD: REFUSED}, ExitCode.REFUSED, [OFFICE, OTHER_WARD]),
        ({OTHER_WARD: SILENT}, ExitCode.PARTLY_DONE, [OTHER_WARD]),
        ({OFFICE: SILENT}, ExitCode.UNAVAILABLE, [OFFICE, OTHER_WARD]),
    ],
)
def test_taking_says_what_was_not_sent(
    desk: Desk,
    capsys: pytest.CaptureFixture[str],
    failures: dict[str, Exception],
    code: ExitCode,
    waiting: list[str],
) -> None:
    """All that could be sent is; what was not is named, kept, and told by the exit status."""
    desk.lane.failures = failures
    assert commands.take(organisation=WARD, everything=True) == code
    shown = capsys.readouterr()
    assert [each.sender for each in desk.ward.journal.unsent_handovers()] == waiting
    assert all(message_id_of(letter) in shown.out for letter in desk.letters)
    assert ("receipt kept, may not be sent" in shown.err) is bool(waiting)


@pytest.mark.parametrize("failure", [REFUSED, SILENT])
def test_a_receipt_that_is_not_sent_keeps_nobody_from_the_inbox(
    desk: Desk, capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    """The list shows what has come since, documents and answers, and which receipt still waits."""
    desk.lane.failures = {OFFICE: failure}
    commands.take(message_id_of(desk.letters[0]), organisation=WARD)
    late, answered = desk.town.letter(OFFICE, WARD), message_id_of(desk.letters[0])
    desk.put(avro.encode_envelope(late))
    [taken] = desk.ward.journal.unsent_handovers()
    assert taken.receipt is not None
    desk.site.submit(taken.receipt)
    asyncio.run(desk.site.route())
    capsys.readouterr()
    commands.list_(organisation=WARD)
    shown = capsys.readouterr()
    assert message_id_of(late) in shown.out
    assert f"{answered}: biên nhận đã ký và lưu" in shown.err
    assert "biên nhận (receipt): trục từ chối" in shown.err


def test_a_document_for_a_group_that_was_left_is_warned_of(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list names it, and only it."""
    letter = desk.town.letter(OFFICE, "@ba-thuoc")
    desk.put(avro.encode_envelope(letter))
    group = Group("@ba-thuoc", "Bá Thước", (OrganisationCode(OTHER_WARD),))
    desk.ward.directory.directory = replace(desk.town.directory, groups=(group,))
    commands.list_(organisation=WARD)
    told = capsys.readouterr().err
    assert f"{message_id_of(letter)}: {NOT_IN_GROUP}" in told
    assert told.count(NOT_IN_GROUP) == 1


def test_what_made_room_is_told(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever lists the inbox learns how much did not pass, how much of it is kept, and what is kept no more."""
    desk.ward.journal.rejections = Rejections(desk.ward.journal._database, max_bytes=0)
    desk.put(avro.encode_envelope(desk.town.letter(OFFICE, OTHER_WARD)))
    desk.put(b"no envelope")
    commands.list_(organisation=WARD)
    told = capsys.readouterr().err
    assert "2 mục chưa qua kiểm tra; 0 mục đang được giữ" in told
    assert "(1 old entries are kept no more" in told
