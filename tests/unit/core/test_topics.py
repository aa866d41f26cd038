"""The declaration of the topics and its comparison with a broker."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from axis.core.addressing import CODE_MAX_CHARACTERS, OrganisationCode
from axis.core.digest import sha256
from axis.core.disposition import Reason
from axis.core.envelope import MessageId
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome, SignedReceipt
from axis.core.topics import (
    INBOX_PATTERN,
    QUARANTINE,
    RECEIPTS,
    ROUTER_STATE,
    SUBMISSIONS_EXPRESS,
    SUBMISSIONS_STANDARD,
    ActualTopic,
    Cleanup,
    Declaration,
    Missing,
    SettingDiffers,
    SettingUndeclared,
    ShapeDiffers,
    TopicDeclaration,
    Undeclared,
    changes,
    copies,
    differences,
    inbox_topic,
    parse_declaration,
)
from axis.errors import Bilingual, ConfigurationError
from axis.schemas.avro import Decision, encode_decision, encode_receipt, encode_signed_receipt

SHIPPED = (Path(__file__).parents[3] / "config" / "topics.toml").read_text(encoding="utf-8")
CODES = ("H56.14923", "H56.14812")


def shipped() -> Declaration:
    """Return the declaration that is shipped."""
    return parse_declaration(tomllib.loads(SHIPPED))


def faults_of(text: str) -> tuple[str, ...]:
    """Return the faults that are reported for this declaration."""
    with pytest.raises(ConfigurationError) as caught:
        parse_declaration(tomllib.loads(text))
    return caught.value.faults


def as_declared(topic: TopicDeclaration, replication_factor: int = 3) -> ActualTopic:
    """Return the topic as a broker would show it that has it as declared."""
    settings = topic.settings(replication_factor)
    others = {"segment.ms": "604800000"}
    return ActualTopic(
        topic.name, topic.partitions, replication_factor, settings | others, frozenset(settings)
    )


def broker_with(*topics: ActualTopic) -> dict[str, ActualTopic]:
    """Return what a broker shows that has everything as declared, but for these topics."""
    existing = {topic.name: as_declared(topic) for topic in shipped().expanded(CODES)}
    return existing | {topic.name: topic for topic in topics}


def declared(name: str) -> TopicDeclaration:
    """Return what is declared of a topic."""
    return next(topic for topic in shipped().expanded(CODES) if topic.name == name)


def test_every_organisation_has_an_inbox() -> None:
    """The pattern stands for one inbox of each organisation, and is itself no topic."""
    names = [topic.name for topic in shipped().expanded(CODES)]
    assert names == sorted(names)
    assert len(names) == 7 + len(CODES)
    assert {inbox_topic(code) for code in CODES} <= set(names)
    assert INBOX_PATTERN not in names


def test_the_quarantine_holds_every_submission_with_its_reason() -> None:
    """A submission of the largest size fits into the quarantine, an inbox and a receipt topic with room to spare."""
    limit = declared(SUBMISSIONS_EXPRESS).max_bytes
    assert limit == declared(SUBMISSIONS_STANDARD).max_bytes == 1024 * 1024
    assert declared(QUARANTINE).max_bytes == limit * 3 // 2
    assert declared(inbox_topic(CODES[0])).max_bytes == declared(RECEIPTS).max_bytes == limit + 64 * 1024


def test_small_lanes_do_not_make_small_inboxes() -> None:
    """A compressed batch takes a record of the policy's size through any lane, so what it is copied to has room for it."""
    small = SHIPPED.replace("max_bytes = 1_048_576", "max_bytes = 524_288").replace("1_114_112", "589_824")
    assert [fault.split()[0] for fault in faults_of(small)] == [INBOX_PATTERN, RECEIPTS]


def test_the_largest_receipt_fits_where_the_least_room_is_accepted() -> None:
    """As many recipients refused as consigned to, with the longest texts that a header holds and the longest reason."""
    policy = AcceptancePolicy()
    code = "H56." + "9" * (CODE_MAX_CHARACTERS - 4)
    text = "x" * (policy.max_header_bytes // policy.max_recipients)
    outcomes = (
        *(RecipientOutcome(code, Outcome.CONSIGNED) for _ in range(policy.max_recipients)),
        *(
            RecipientOutcome(text, Outcome.REFUSED, max(Reason, key=len))
            for _ in range(policy.max_recipients)
        ),
    )
    receipt = Receipt(
        event=Event.SUBMISSION_ACCEPTANCE,
        environment="production",
        message_id=MessageId("019ab000-0000-7000-8000-000000000000"),
        envelope_digest=sha256(b""),
        sender=OrganisationCode(code),
        issuer=OrganisationCode(code),
        occurred_at=datetime(2026, 11, 22, tzinfo=UTC),
        outcomes=outcomes,
        directory_version="v" * 64,
        policy_version=policy.version,
    )
    signature = bytes(8192)
    decision = Decision(sha256(b""), encode_signed_receipt(SignedReceipt(encode_receipt(receipt), signature)))
    assert len(encode_decision(decision)) < 324_608


def test_settings_put_durability_first() -> None:
    """Append times are the broker's, no size limit deletes records, no stale replica leads, forever means forever."""
    settings = declared("axis.evidence").settings(3)
    assert settings["retention.ms"] == settings["retention.bytes"] == "-1"
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert settings["unclean.leader.election.enable"] == "false"
    assert declared(ROUTER_STATE).settings(3)["cleanup.policy"] == "compact"
    assert declared(SUBMISSIONS_EXPRESS).settings(3)["retention.ms"] == str(90 * 86_400_000)


@pytest.mark.parametrize(("replication_factor", "expected"), [(1, "1"), (2, "1"), (3, "2")])
def test_two_of_three_copies_must_hold_a_record(replication_factor: int, expected: str) -> None:
    """With fewer than three copies one is enough, or the loss of one broker would stop all writing."""
    assert declared(RECEIPTS).settings(replication_factor)["min.insync.replicas"] == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("axis.receipts", "axis.reciepts", "topic axis.receipts is not declared"),
        ("axis.receipts", "axis.reciepts", "topic axis.reciepts is declared but not used"),
        ("axis.receipts", "axis.quarantine", "topic axis.quarantine is declared twice"),
        ("partitions = 12", "partitions = 0", "partitions is 0, expected a whole number of at least 1"),
        ("partitions = 12", "partitions = true", "partitions is True"),
        ("partitions = 12\n", "", "partitions is missing"),
        ('cleanup = "delete"', 'cleanup = "both"', "cleanup is 'both', expected one of delete, compact"),
        ('cleanup = "delete"', "cleanup = []", "cleanup is [], expected one of delete, compact"),
        ("retention_days = 90", "retention_hours = 90", "retention_hours is unknown"),
        ('cleanup = "compact"', 'cleanup = "compact"\nretention_days = 1', "retention_days is unknown here"),
        ("partitions = 12", "partitions = 6", "have [6, 12] partitions; give them the same number"),
        ("partitions = 1\n", "partitions = 2\n", "expected 1: an inbox has one order"),
        (
            '"delete"\nretention_days = 7300',
            '"compact"',
            "axis.receipts has cleanup compact, expected delete",
        ),
        ('"axis.router-state"\npartitions = 12\ncleanup = "compact"', None, "decisions are kept for ever"),
        ("max_bytes = 1_572_864", "max_bytes = 1_048_576", "it must be able to hold every submission"),
        ("max_bytes = 1_114_112", "max_bytes = 1_114_111", "axis.inbox.<code> has max_bytes 1114111"),
        (
            "retention_days = 7300\nmax_bytes = 1_114_112",
            "retention_days = 7300\nmax_bytes = 1_114_111",
            "axis.receipts has max_bytes 1114111",
        ),
        (
            'cleanup = "compact"\nmax_bytes = 1_048_576',
            'cleanup = "compact"\nmax_bytes = 324_607',
            "axis.router-state has max_bytes 324607",
        ),
    ],
)
def test_a_faulty_declaration_is_reported(before: str, after: str | None, expected: str) -> None:
    """A declaration that is unsound, or would break a promise of the axis, is refused and says where."""
    assert before in SHIPPED
    kept = before.replace("compact", "delete") + "\nretention_days = 1"
    assert any(
        expected in fault
        for fault in faults_of(SHIPPED.replace(before, after if after is not None else kept, 1))
    )


UNREADABLE = """
topic = [
    1,
    {name = "axis.receipts", partitions = 0, cleanup = "both", max_bytes = 7, retention_hours = 1},
    {name = "axis.receipts"},
    {name = "axis.reciepts", cleanup = "compact", retention_days = 1},
]
"""
CONTRADICTORY = """
topic = [
    {name = "axis.submissions.express", partitions = 6, cleanup = "compact", max_bytes = 1_048_576},
    {name = "axis.submissions.standard", partitions = 9, cleanup = "compact", max_bytes = 1_048_576},
    {name = "axis.router-state", partitions = 12, cleanup = "delete", max_bytes = 1024, retention_days = 1},
    {name = "axis.inbox.<code>", partitions = 2, cleanup = "compact", max_bytes = 1024},
    {name = "axis.receipts", partitions = 1, cleanup = "compact", max_bytes = 1024},
    {name = "axis.quarantine", partitions = 1, cleanup = "compact", max_bytes = 1024},
    {name = "axis.evidence", partitions = 1, cleanup = "compact", max_bytes = 1024},
    {name = "axis.directory", partitions = 1, cleanup = "delete", max_bytes = 1024, retention_days = 1},
]
"""


@pytest.mark.parametrize(
    ("text", "count"), [("other = 1", 1), (UNREADABLE, 22), (CONTRADICTORY, 13)], ids=["other", "rows", "all"]
)
def test_every_fault_is_told_in_both_languages(text: str, count: int) -> None:
    """Whatever is wrong with a declaration, its operator reads of each mistake in Vietnamese as well."""
    faults = faults_of(text)
    assert len(faults) == count
    for fault in faults:
        assert isinstance(fault, Bilingual)
        assert not fault.vietnamese.isascii()
        assert fault.vietnamese != fault


@pytest.mark.parametrize("text", ["", "topic = 1", SHIPPED + "\n[defaults]\n", "topic = [1]"])
def test_other_contents_than_topics_are_reported(text: str) -> None:
    """A declaration consists of topic tables alone."""
    assert any("expected" in fault for fault in faults_of(text))


def test_an_empty_broker_lacks_everything() -> None:
    """Everything declared is planned to be created with the chosen number of copies."""
    expected = [Missing(topic, 1) for topic in shipped().expanded(CODES)]
    found = differences(shipped().expanded(CODES), {}, 1)
    assert list(found) == list(changes(found)) == expected


def test_a_broker_as_declared_has_no_differences() -> None:
    """Other settings in effect, which nobody set on the topic, are no difference."""
    assert differences(shipped().expanded(CODES), broker_with(), 3) == ()


def test_a_setting_that_differs_can_be_put_right() -> None:
    """A shortened retention is found, with both values."""
    topic = as_declared(declared(RECEIPTS))
    found = differences(
        shipped().expanded(CODES),
        broker_with(replace(topic, settings={**topic.settings, "retention.ms": "3600000"})),
        3,
    )
    assert found == (SettingDiffers(RECEIPTS, "retention.ms", "3600000", str(7300 * 86_400_000)),)
    assert changes(found) == found


@pytest.mark.parametrize(
    ("what", "factor", "partitions"), [("partitions", 3, 6), ("replication factor", 2, 12)]
)
def test_a_shape_that_differs_is_reported_and_left_alone(what: str, factor: int, partitions: int) -> None:
    """Partitions and copies are never changed by the axis, only shown."""
    topic = replace(as_declared(declared(RECEIPTS), factor), partitions=partitions)
    found = differences(shipped().expanded(CODES), broker_with(topic), 3)
    actual, expected = (partitions, 12) if what == "partitions" else (factor, 3)
    assert found == (ShapeDiffers(RECEIPTS, what, actual, expected),)
    assert changes(found) == ()


def test_a_single_copy_is_not_asked_for_two_in_sync() -> None:
    """A topic from the time of one broker keeps min.insync.replicas 1; 2 would stop every write to it."""
    found = differences(shipped().expanded(CODES), broker_with(as_declared(declared(RECEIPTS), 1)), 3)
    assert not any(isinstance(each, SettingDiffers) for each in found)


def test_what_nobody_declared_is_reported_and_left_alone() -> None:
    """A stranger among the axis's topics and a setting on a topic are shown; topics of others are not."""
    topic = as_declared(declared(RECEIPTS))
    tuned = replace(
        topic, settings={**topic.settings, "segment.ms": "60000"}, overrides=topic.overrides | {"segment.ms"}
    )
    stranger = replace(topic, name="axis.inbox.H56.99999")
    other = replace(topic, name="weather")
    found = differences(shipped().expanded(CODES), broker_with(tuned, stranger, other), 3)
    assert found == (Undeclared("axis.inbox.H56.99999"), SettingUndeclared(RECEIPTS, "segment.ms", "60000"))
    assert changes(found) == ()


@pytest.mark.parametrize(
    ("brokers", "existing", "wanted", "expected"),
    [
        (1, 0, None, 1),
        (2, 0, None, 2),
        (3, 0, None, 3),
        (9, 0, None, 3),
        (2, 3, None, 3),
        (3, 1, None, 3),
        (3, 3, 2, 2),
    ],
)
def test_copies_follow_the_brokers_and_never_fall(
    brokers: int, existing: int, wanted: int | None, expected: int
) -> None:
    """Three or as many as brokers; not fewer than there are while a broker is down; the operator's choice wins."""
    actual = [as_declared(declared(RECEIPTS), existing)] if existing else []
    assert copies(brokers, actual, wanted) == expected


def test_compaction_is_a_wire_value() -> None:
    """The values are Kafka's own."""
    assert [str(each) for each in Cleanup] == ["delete", "compact"]
