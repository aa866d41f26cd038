"""Who a directory says is meant, may send and receive; and what it may not contain."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.addressing import (
    Enrolment,
    Group,
    Level,
    Organisation,
    OrganisationCode,
)
from axis.core.directory import Directory
from axis.errors import ConfigurationError, Refused

REFORM = date(2025, 7, 1)
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
CERTIFICATE = bytes(range(32))


def organisation(
    code: str, level: Level = Level.COMMUNE, parent: str | None = "H56", legacy: str | None = None
) -> Organisation:
    """Return a valid organisation that exists since the reform."""
    above = None if parent is None else OrganisationCode(parent)
    return Organisation(OrganisationCode(code), f"Đơn vị {code}", level, above, legacy, REFORM, None)


PROVINCE = organisation("H56", Level.PROVINCE, None, "000.00.00.H56")
AXIS = organisation("H56.W00", Level.AXIS)
OFFICE = organisation("H56.01", Level.DEPARTMENT)
WARD = organisation("H56.14812", Level.WARD)
COMMUNE = organisation("H56.14923")
OTHER = organisation("H56.14950")
ALL = (OTHER, COMMUNE, WARD, AXIS, OFFICE, PROVINCE)
BA_THUOC = Group("@ba-thuoc", "Địa bàn huyện Bá Thước cũ", (OTHER.code, COMMUNE.code))
ENROLMENT = Enrolment(CERTIFICATE, WARD.code, NOW - timedelta(days=1), NOW + timedelta(days=1))


def faults_of(
    *organisations: Organisation, groups: tuple[Group, ...] = (), enrolments: tuple[Enrolment, ...] = ()
) -> tuple[str, ...]:
    """Return the faults that the directory reports for these contents."""
    with pytest.raises(ConfigurationError) as caught:
        Directory(organisations, groups, enrolments)
    return caught.value.faults


def test_a_code_and_its_legacy_code_mean_the_same_organisation() -> None:
    """A legacy code is answered with the present code, by table."""
    directory = Directory(ALL)
    assert (
        directory.resolve("000.00.00.H56", WARD.code, NOW)
        == directory.resolve("H56", WARD.code, NOW)
        == ("H56",)
    )


@pytest.mark.parametrize("recipient", ["H56.99999", "000.00.99.H56", "@nowhere", "", "Xã Bá Thước"])
def test_an_unknown_recipient_is_refused(recipient: str) -> None:
    """What the directory does not know is refused, never guessed, and an official name is not an address."""
    with pytest.raises(Refused) as caught:
        Directory(ALL, (BA_THUOC,)).resolve(recipient, WARD.code, NOW)
    assert caught.value.reason == "recipient-unknown"


def test_a_refusal_shows_foreign_text_escaped_and_bounded() -> None:
    """A hostile recipient can put neither line breaks nor kilobytes into a message."""
    with pytest.raises(Refused) as caught:
        Directory(ALL).resolve("x\n" * 10_000, WARD.code, NOW)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("group", "sender", "expected"),
    [
        ("@all", "H56.14812", ("H56", "H56.01", "H56.14923", "H56.14950")),
        ("@all", "H56.W00", ("H56", "H56.01", "H56.14812", "H56.14923", "H56.14950")),
        ("@communes", "H56", ("H56.14812", "H56.14923", "H56.14950")),
        ("@departments", "H56", ("H56.01",)),
        ("@ba-thuoc", "H56", ("H56.14923", "H56.14950")),
        ("@ba-thuoc", "H56.14950", ("H56.14923",)),
    ],
)
def test_a_group_means_its_members_without_the_sender(
    group: str, sender: str, expected: tuple[str, ...]
) -> None:
    """Groups resolve sorted, without the sender and without the axis."""
    assert Directory(ALL, (BA_THUOC,)).resolve(group, sender, NOW) == expected


def test_a_group_means_the_members_of_the_moment() -> None:
    """On the day an organisation ends, in Vietnamese time, it leaves its groups; the day before it is still in."""
    ending = replace(COMMUNE, valid_to=date(2026, 1, 1))
    directory = Directory((PROVINCE, ending, OTHER), (BA_THUOC,))
    midnight = datetime(2025, 12, 31, 17, 0, tzinfo=UTC)
    last_moment = midnight - timedelta(microseconds=1)
    assert directory.resolve("@ba-thuoc", "H56", last_moment) == (COMMUNE.code, OTHER.code)
    assert directory.resolve("@ba-thuoc", "H56", midnight) == (OTHER.code,)
    assert directory.resolve("@communes", "H56", last_moment) == (COMMUNE.code, OTHER.code)


def test_an_organisation_receives_and_sends_from_its_first_to_its_last_day() -> None:
    """Rights begin at midnight of the first day and end at midnight of the day after the last one."""
    directory = Directory((PROVINCE, replace(WARD, valid_to=date(2026, 1, 1))))
    first = datetime(2025, 6, 30, 17, 0, tzinfo=UTC)
    after = datetime(2025, 12, 31, 17, 0, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    moments = [first - instant, first, after - instant, after]
    assert [directory.may_receive(WARD.code, each) for each in moments] == [False, True, True, False]
    assert [directory.may_send(WARD.code, each) for each in moments] == [False, True, True, False]


def test_a_suspended_organisation_still_receives() -> None:
    """Suspension stops sending alone: the inbox goes on filling and the groups still mean it."""
    directory = Directory((PROVINCE, replace(WARD, suspended=True)))
    assert not directory.may_send(WARD.code, NOW)
    assert directory.may_receive(WARD.code, NOW)
    assert WARD.code in directory.resolve("@communes", "H56", NOW)


def test_an_unknown_code_has_no_rights() -> None:
    """A code that the directory does not know may neither send nor receive, and `get` refuses it."""
    directory = Directory(ALL)
    assert not directory.may_send("H56.99999", NOW)
    assert not directory.may_receive("H56.99999", NOW)
    with pytest.raises(Refused, match="recipient-unknown"):
        directory.get("H56.99999")


def test_a_moment_without_zone_is_a_defect() -> None:
    """A moment without a time zone would be read in the machine's zone; it is not accepted."""
    with pytest.raises(TypeError, match="time zone"):
        Directory(ALL).may_send("H56", datetime(2026, 1, 1))  # noqa: DTZ001 - the defect under test


@pytest.mark.parametrize(
    ("at", "exists"),
    [
        (datetime(9999, 12, 31, 23, tzinfo=UTC), True),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), False),
    ],
    ids=["last day", "first day"],
)
def test_the_ends_of_the_calendar_have_days_too(at: datetime, *, exists: bool) -> None:
    """A moment that Vietnamese time cannot state, which anybody may claim to sign at, is on the nearest day."""
    directory = Directory(ALL)
    assert directory.may_send("H56", at) is exists
    assert directory.may_receive("H56", at) is exists
    assert bool(directory.resolve("@communes", "H56", at)) is exists


def test_a_certificate_speaks_for_its_organisation_within_its_enrolment() -> None:
    """An enrolment counts from its first moment until before its last, and for its certificate only."""
    directory = Directory(ALL, (), (ENROLMENT,))
    speaks_for = [
        directory.organisation_of_certificate(CERTIFICATE, at)
        for at in (ENROLMENT.valid_from, NOW, ENROLMENT.valid_to, ENROLMENT.valid_from - timedelta(seconds=1))
    ]
    assert speaks_for == [WARD.code, WARD.code, None, None]
    assert directory.organisation_of_certificate(bytes(32), NOW) is None


def test_a_certificate_may_pass_to_a_successor() -> None:
    """One certificate may be enrolled for another organisation later, when the times do not overlap."""
    later = replace(
        ENROLMENT, organisation=OTHER.code, valid_from=ENROLMENT.valid_to, valid_to=NOW + timedelta(days=9)
    )
    directory = Directory(ALL, (), (later, ENROLMENT))
    assert directory.organisation_of_certificate(CERTIFICATE, NOW) == WARD.code
    assert directory.organisation_of_certificate(CERTIFICATE, ENROLMENT.valid_to) == OTHER.code


@given(st.permutations(ALL), st.permutations(BA_THUOC.members))
def test_the_version_depends_on_the_contents_alone(
    organisations: list[Organisation], members: list[OrganisationCode]
) -> None:
    """The order in which contents are given changes neither the version nor the directory."""
    group = replace(BA_THUOC, members=tuple(members))
    reference = Directory(ALL, (BA_THUOC,), (ENROLMENT,))
    assert Directory(tuple(organisations), (group,), (ENROLMENT,)) == reference


def test_every_change_of_contents_changes_the_version() -> None:
    """Each field of each entry is part of the version."""
    moved = replace(ENROLMENT, valid_to=NOW + timedelta(days=2))
    others = [
        Directory(ALL, (BA_THUOC,)),
        Directory(ALL, (BA_THUOC,), (ENROLMENT,)),
        Directory(ALL, (BA_THUOC,), (moved,)),
        Directory(ALL, (replace(BA_THUOC, title="Địa bàn cũ"),)),
        Directory((*ALL[:-1], replace(PROVINCE, name="UBND tỉnh Thanh Hóa"))),
        Directory((*ALL[:-1], replace(PROVINCE, legacy_code=None))),
        Directory((*ALL[:-1], replace(PROVINCE, suspended=True))),
        Directory((*ALL[:-1], replace(PROVINCE, valid_to=date(2030, 1, 1)))),
        Directory(ALL),
    ]
    versions = [each.version for each in others]
    assert len(set(versions)) == len(others)
    assert all(len(each) == len("sha256:") + 16 for each in versions)


def test_the_version_of_the_same_contents_stays_what_it_is() -> None:
    """Receipts name it for years: another way to render it would cut them off from their directory."""
    # SHA-256 of the contents as JSON, its fields in their order; computed when the rendering was first released.
    assert Directory(ALL, (BA_THUOC,), (ENROLMENT,)).version == "sha256:94a5765f5e9ff69d"


def test_equal_moments_in_other_zones_are_one_version() -> None:
    """The version knows moments, not the way they were written."""
    written_here = replace(ENROLMENT, valid_from=ENROLMENT.valid_from.astimezone())
    assert Directory(ALL, (), (written_here,)).version == Directory(ALL, (), (ENROLMENT,)).version


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (replace(WARD, name="Phường Bỉm Sơn".replace("ỉ", "i\u0309")), "not in Unicode form NFC"),
        (replace(WARD, name="Phường\u200b Bỉm Sơn"), "zero-width"),
        (replace(WARD, name="Xã \u00d0iền Lư"), "U+00D0"),
        (replace(WARD, name=" Xã Điền Lư"), "blanks around it"),
        (replace(WARD, parent=OrganisationCode("H57")), "unknown parent 'H57'"),
        (replace(WARD, parent=None), "has no parent"),
        (replace(WARD, parent=WARD.code), "its own parent"),
        (replace(WARD, valid_to=REFORM), "dates reversed"),
        (replace(WARD, legacy_code="000.1137.H53"), "not in the form 000.00.00.H56"),
        (replace(WARD, legacy_code="000.00.00.H56"), "legacy code '000.00.00.H56' appears more than once"),
        (replace(WARD, code=OrganisationCode("h56.14812")), "Quyết định 20/2020/QĐ-TTg"),
        (replace(WARD, code=PROVINCE.code), "organisation code 'H56' appears more than once"),
    ],
)
def test_a_faulty_organisation_is_reported(wrong: Organisation, expected: str) -> None:
    """Each contradiction of an organisation is named."""
    assert any(expected in fault for fault in faults_of(PROVINCE, wrong))


def test_parents_in_a_ring_are_reported() -> None:
    """Two organisations above each other are reported, and only they."""
    upper = replace(organisation("H56.20"), parent=OrganisationCode("H56.21"))
    lower = replace(organisation("H56.21"), parent=OrganisationCode("H56.20"))
    below = replace(organisation("H56.22"), parent=OrganisationCode("H56.20"))
    assert [fault.split(":")[0] for fault in faults_of(PROVINCE, upper, lower, below)] == [
        "organisation H56.20",
        "organisation H56.21",
    ]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (replace(BA_THUOC, members=(OrganisationCode("H56.99999"),)), "names the unknown code 'H56.99999'"),
        (replace(BA_THUOC, members=(WARD.code, WARD.code)), "member 'H56.14812' appears more than once"),
        (replace(BA_THUOC, members=()), "has no members"),
        (replace(BA_THUOC, name="@all"), "built in"),
        (replace(BA_THUOC, name="ba-thuoc"), "expected @"),
        (replace(BA_THUOC, title="Bá Thước\u200d"), "zero-width"),
    ],
)
def test_a_faulty_group_is_reported(wrong: Group, expected: str) -> None:
    """Each contradiction of a group is named."""
    assert any(expected in fault for fault in faults_of(*ALL, groups=(wrong,)))


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (replace(ENROLMENT, certificate_sha256=b"short"), "digest has 5 bytes, expected 32"),
        (replace(ENROLMENT, organisation=OrganisationCode("H56.99999")), "unknown code 'H56.99999'"),
        (replace(ENROLMENT, valid_to=ENROLMENT.valid_from), "dates reversed"),
        (replace(ENROLMENT, valid_to=datetime(2030, 1, 1)), "no time zone"),  # noqa: DTZ001 - the fault under test
        (replace(ENROLMENT, organisation=OTHER.code), "two entries overlap"),
    ],
)
def test_a_faulty_enrolment_is_reported(wrong: Enrolment, expected: str) -> None:
    """Each contradiction of an enrolment is named; above all a certificate never speaks for two at once."""
    assert any(expected in fault for fault in faults_of(*ALL, enrolments=(ENROLMENT, wrong)))


def test_all_faults_are_reported_at_once() -> None:
    """One reading shows the operator everything that is to be repaired."""
    faults = faults_of(
        PROVINCE, PROVINCE, replace(WARD, parent=None), groups=(replace(BA_THUOC, name="@all"),)
    )
    assert len(faults) >= 4
