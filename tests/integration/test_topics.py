"""Topics on a real broker, over mTLS."""

import asyncio
from datetime import date
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from axis.admin.kafka import TopicAdmin
from axis.apps import wiring
from axis.apps.topics import apply, drift, load_declaration, plan
from axis.cli.topics import app
from axis.clock import SystemClock
from axis.connection import connect_as
from axis.consumers.kafka import PartitionReader
from axis.consumers.verify import VerifiedReceipt
from axis.core.addressing import Level, Organisation, OrganisationCode
from axis.core.directory import Directory
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event
from axis.core.topics import (
    RECEIPTS,
    Missing,
    SettingDiffers,
    ShapeDiffers,
    Undeclared,
    inbox_topic,
)
from axis.errors import ConfigurationError, Unavailable
from axis.ports import PartitionId, Record
from axis.settings import (
    BrokerSettings,
    DirectorySettings,
    RouterSettings,
    Settings,
    SignatureSettings,
    load,
    render,
)
from axis.testing.broker import Broker
from axis.testing.broker.properties import ADMIN_NAME
from axis.testing.pki import DevelopmentPki

pytestmark = pytest.mark.kafka

DECLARATION_FILE = Path(__file__).parents[2] / "config" / "topics.toml"
DECLARATION = load_declaration(DECLARATION_FILE)


@pytest.fixture
def admin(broker: Broker) -> TopicAdmin:
    """The administrator's client of the shared broker."""
    return TopicAdmin(
        broker.bootstrap_servers, broker.credentials.ca_path, broker.credentials.client(ADMIN_NAME)
    )


@pytest.fixture
def directory() -> Directory:
    """Two organisations of their own for each test, because the broker is shared."""
    own = uuid4().hex[:12].upper()
    since = date(2025, 7, 1)
    province = Organisation(OrganisationCode(f"T01.{own}"), "Tỉnh", Level.PROVINCE, None, None, since, None)
    ward = Organisation(
        OrganisationCode(f"{province.code}.W1"), "Phường", Level.WARD, province.code, None, since, None
    )
    return Directory((province, ward))


@pytest.fixture
def inboxes(directory: Directory) -> list[str]:
    """The inbox topics of the two organisations."""
    return [inbox_topic(each.code) for each in directory.organisations]


def of(names: list[str], found: tuple[object, ...]) -> list[object]:
    """Return those of the differences that concern these topics."""
    return [each for each in found if getattr(each, "topic", None) in names]


def set_by_hand(broker: Broker, admin: TopicAdmin, topic: str, settings: dict[str, str]) -> None:
    """Set settings of a topic, as somebody with a command line would, and wait until the broker shows them."""
    client = AdminClient(dict(broker.librdkafka_settings()))
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in client.incremental_alter_configs([resource]).values():
        future.result(30)
    deadline = monotonic() + 30
    while settings.items() - admin.survey()[1][topic].settings.items():
        assert monotonic() < deadline, "the broker does not show the settings"
        sleep(0.05)


def test_apply_creates_what_is_missing_and_nothing_the_second_time(
    admin: TopicAdmin, directory: Directory, inboxes: list[str]
) -> None:
    """After one call everything declared is there as declared; a repetition finds nothing to do."""
    planned = plan(admin, DECLARATION, directory)
    assert [each.topic for each in planned if isinstance(each, Missing) and each.topic in inboxes] == inboxes
    first = apply(admin, DECLARATION, directory, settings=True)
    assert set(inboxes) <= set(first.created)
    assert list(first.created) == sorted(first.created)
    assert plan(admin, DECLARATION, directory) == ()
    assert of([*inboxes, RECEIPTS], drift(admin, DECLARATION, directory)) == []
    assert apply(admin, DECLARATION, directory, settings=True).created == ()


def test_topics_have_the_declared_shape(admin: TopicAdmin, directory: Directory, inboxes: list[str]) -> None:
    """What the broker says of a new inbox is what was declared of it, set on the topic itself."""
    apply(admin, DECLARATION, directory)
    _, actual = admin.survey()
    inbox = actual[inboxes[0]]
    assert (inbox.partitions, inbox.replication_factor) == (1, 1)
    assert inbox.overrides == set(DECLARATION.inbox.settings(1))
    assert DECLARATION.inbox.settings(1).items() <= inbox.settings.items()


def test_settings_are_changed_only_when_asked(
    broker: Broker, admin: TopicAdmin, directory: Directory, inboxes: list[str]
) -> None:
    """A shortened retention is shown, left alone by default and put right when asked; other settings stay."""
    apply(admin, DECLARATION, directory, settings=True)
    inbox = inboxes[0]
    set_by_hand(broker, admin, inbox, {"retention.ms": "3600000", "segment.ms": "60000"})
    declared = DECLARATION.inbox.settings(1)["retention.ms"]
    expected = SettingDiffers(inbox, "retention.ms", "3600000", declared)
    applied = apply(admin, DECLARATION, directory)
    assert (applied.altered, of([inbox], applied.left)) == ((), [expected])
    applied = apply(admin, DECLARATION, directory, settings=True)
    assert (of([inbox], applied.altered), applied.left) == ([expected], ())
    settings = admin.survey()[1][inbox].settings
    assert (settings["retention.ms"], settings["segment.ms"]) == (declared, "60000")


def test_strangers_and_other_shapes_are_shown_and_left_alone(
    admin: TopicAdmin, directory: Directory, inboxes: list[str]
) -> None:
    """An inbox of nobody and an inbox with other copies than asked for are drift, and apply changes neither."""
    apply(admin, DECLARATION, directory)
    province = Directory(tuple(each for each in directory.organisations if each.parent is None))
    assert of(inboxes, drift(admin, DECLARATION, province)) == [Undeclared(inboxes[1])]
    assert of(inboxes, drift(admin, DECLARATION, directory, 3)) == [
        ShapeDiffers(inbox, "replication factor", 1, 3) for inbox in inboxes
    ]
    apply(admin, DECLARATION, province, settings=True)
    assert inboxes[1] in admin.survey()[1]


def test_more_copies_than_brokers_are_the_operators_matter(admin: TopicAdmin, directory: Directory) -> None:
    """The cluster's refusal is told as a fault of configuration, with the topic and Kafka's reason."""
    with pytest.raises(ConfigurationError, match=r"creating topic axis\..*INVALID_REPLICATION_FACTOR"):
        apply(admin, DECLARATION, directory, 3)


def test_a_cluster_that_does_not_answer_is_unavailable(broker: Broker, unused_tcp_port: int) -> None:
    """Nobody at the address: the message names it and what to check."""
    credentials = broker.credentials
    admin = TopicAdmin(
        f"127.0.0.1:{unused_tcp_port}",
        credentials.ca_path,
        credentials.client(ADMIN_NAME),
        timeout_seconds=1.0,
    )
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{unused_tcp_port}.*check address"):
        admin.survey()


def test_a_foreign_authority_is_unavailable(broker: Broker, tmp_path: Path) -> None:
    """A broker whose certificate the given authority did not sign is not talked to."""
    foreign = DevelopmentPki.create_or_open(tmp_path, now=SystemClock().now())
    admin = TopicAdmin(
        broker.bootstrap_servers, foreign.ca_path, broker.credentials.client(ADMIN_NAME), timeout_seconds=2.0
    )
    with pytest.raises(Unavailable, match="certificate verify failed"):
        admin.survey()


def test_missing_pem_files_are_the_operators_matter(tmp_path: Path) -> None:
    """Files that are not there are reported before anything is dialled."""
    with pytest.raises(ConfigurationError, match=r"admin\.pem"):
        TopicAdmin("127.0.0.1:1", tmp_path / "ca.pem", tmp_path / "admin.pem")


def test_a_declaration_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """No file, and no TOML in it, are faults of configuration that name the file."""
    broken = tmp_path / "topics.toml"
    with pytest.raises(ConfigurationError, match=r"topics\.toml: cannot be read"):
        load_declaration(broken)
    broken.write_text("[[topic")
    with pytest.raises(ConfigurationError, match=r"topics\.toml: cannot be parsed"):
        load_declaration(broken)


@pytest.fixture
def target(broker: Broker, pki: DevelopmentPki, tmp_path: Path) -> list[str]:
    """Options of `axis topics` for the shared broker and a directory with two organisations of its own."""
    own = f"T02.{uuid4().hex[:12].upper()}"
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "all.toml").write_text(
        f'[[organisation]]\ncode = "{own}"\nname = "Tỉnh"\nlevel = "province"\nvalid_from = 2025-07-01\n'
        f'[[organisation]]\ncode = "{own}.W1"\nname = "Phường"\nlevel = "ward"\nparent = "{own}"\n'
        "valid_from = 2025-07-01\n"
    )
    pki.client(own)
    # Its signing keys are of an authority of their own: the shared one's enrolments are read by other installations.
    signing = DevelopmentPki.create_or_open(tmp_path / "pki", now=SystemClock().now())
    keys = signing.signing(own, "Tỉnh").parent
    admin_file = broker.credentials.client(ADMIN_NAME)
    site = Settings(
        folder=tmp_path,
        environment="test",
        node=OrganisationCode(own),
        blobs="file:blobs",
        broker=BrokerSettings(broker.bootstrap_servers, broker.credentials.ca_path, admin_file.parent),
        signatures=SignatureSettings(signing.ca_path, keys),
        directory=DirectorySettings(tmp_path / "directory", signing.enrolment_path),
        router=RouterSettings(),
    )
    (tmp_path / "axis.toml").write_text(render(site), encoding="utf-8")
    return ["--data", str(tmp_path), "--declaration", str(DECLARATION_FILE), "--client", admin_file.stem]


def status_of(command: str, *arguments: str) -> int:
    """Run a command of `axis topics` and return its exit status."""
    with pytest.raises(SystemExit) as caught:
        app([command, *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_command_plans_applies_and_then_finds_nothing_to_do(
    target: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`plan` ends with 9 while something is missing and names it; after `apply` it ends with 0; `drift` says the rest."""
    assert status_of("plan", *target) == 9
    assert "thiếu (missing) axis.inbox.T02." in capsys.readouterr().out
    assert status_of("apply", *target, "--configs") == 0
    assert "đã tạo (created) axis.inbox.T02." in capsys.readouterr().out
    assert status_of("plan", *target) == 0
    assert capsys.readouterr().out == "đúng như khai báo (as declared)\n"
    assert status_of("drift", *target, "--replication-factor", "3") == 9
    assert "left alone) axis.inbox.T02." in capsys.readouterr().out


def test_apply_leaves_each_inbox_opened_once_by_the_axis(
    target: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first record of every inbox is the axis's own signed statement, and a repetition adds no second one."""
    site = load(Path(target[1]))
    inboxes = {inbox_topic(each.code): each.code for each in wiring.directory(site).current().organisations}
    assert status_of("apply", *target) == 0
    assert "đã mở 2 hộp thư (inboxes opened)" in capsys.readouterr().out
    assert status_of("apply", *target) == 0
    assert "inboxes opened" not in capsys.readouterr().out
    for topic, code in inboxes.items():
        [record] = asyncio.run(records_of(site, topic))
        verified = wiring.verifier(site, AcceptancePolicy()).verify(
            record.value, wiring.directory(site).current(), record.appended_at
        )
        assert isinstance(verified, VerifiedReceipt)
        assert (verified.issuer, verified.receipt.event, verified.receipt.sender) == (
            site.node,
            Event.INBOX_OPENED,
            code,
        )


async def records_of(site: Settings, topic: str) -> list[Record]:
    """Return everything that an inbox holds."""
    found: list[Record] = []
    async with PartitionReader(connect_as(site.node, site.broker, "test")) as reader:
        async for records in reader.read_to_end({PartitionId(topic, 0): 0}):
            found += records
    return found
