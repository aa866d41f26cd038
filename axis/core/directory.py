"""The directory: who is meant by a code or a group, who may send and receive, whose a certificate is, at a moment."""

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from itertools import chain

from axis.core.addressing import (
    BUILT_IN_GROUPS,
    LOCAL_TIME,
    Codes,
    Enrolment,
    Group,
    Organisation,
    OrganisationCode,
    shown,
)
from axis.core.digest import sha256
from axis.core.directory_faults import ENROLMENT_ORDER, directory_faults
from axis.core.disposition import Reason
from axis.errors import ConfigurationError, Refused


@dataclass(frozen=True, slots=True)
class Directory:
    """A consistent state of the directory; the same contents always have the same `version`.

    Attributes:
        organisations: all of them, past and present, sorted by code.
        groups: the named groups, sorted by name; `@all`, `@communes` and `@departments` follow from the levels.
        enrolments: sorted by certificate and beginning.
        version: `sha256:` and the first 16 hexadecimal digits of the digest of the contents.

    Raises:
        ConfigurationError: the contents contradict each other; every contradiction is listed.
    """

    organisations: tuple[Organisation, ...]
    groups: tuple[Group, ...] = ()
    enrolments: tuple[Enrolment, ...] = ()
    version: str = field(init=False)
    _by_code: dict[str, Organisation] = field(init=False, repr=False, compare=False)
    _by_legacy_code: dict[str, Organisation] = field(init=False, repr=False, compare=False)
    _by_certificate: dict[bytes, list[Enrolment]] = field(init=False, repr=False, compare=False)
    _by_group: dict[str, tuple[Organisation, ...]] = field(init=False, repr=False, compare=False)
    _boundaries: list[date] = field(init=False, repr=False, compare=False)
    _members: dict[tuple[str, int], Codes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults = directory_faults(self.organisations, self.groups, self.enrolments)
        if faults:
            raise ConfigurationError(*faults)
        organisations = tuple(sorted(self.organisations, key=lambda each: each.code))
        by_code: dict[str, Organisation] = {each.code: each for each in organisations}
        groups = tuple(
            Group(each.name, each.title, tuple(sorted(each.members)))
            for each in sorted(self.groups, key=lambda each: each.name)
        )
        enrolments = tuple(sorted(self.enrolments, key=ENROLMENT_ORDER))
        by_certificate: dict[bytes, list[Enrolment]] = {}
        for enrolment in enrolments:
            by_certificate.setdefault(enrolment.certificate_sha256, []).append(enrolment)
        derived: dict[str, object] = {
            "organisations": organisations,
            "groups": groups,
            "enrolments": enrolments,
            "version": "sha256:" + sha256(_canonical(organisations, groups, enrolments)).hex()[:16],
            "_by_code": by_code,
            "_by_legacy_code": {each.legacy_code: each for each in organisations if each.legacy_code},
            "_by_certificate": by_certificate,
            "_by_group": {
                name: tuple(each for each in organisations if each.level in levels)
                for name, levels in BUILT_IN_GROUPS.items()
            }
            | {group.name: tuple(by_code[code] for code in group.members) for group in groups},
            "_boundaries": sorted(set(chain.from_iterable(_days(each) for each in organisations))),
            "_members": {},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def get(self, code: str) -> Organisation:
        """Return the organisation with this code, past or present.

        Raises:
            Refused: `recipient-unknown`, the directory does not know the code.
        """
        if (organisation := self._by_code.get(code)) is None:
            raise self._unknown(code)
        return organisation

    def __contains__(self, code: object) -> bool:
        return code in self._by_code

    def organisation_of_certificate(self, sha256: bytes, at: datetime) -> OrganisationCode | None:
        """Return the organisation that a certificate speaks for at this moment; `None`: not enrolled then."""
        for enrolment in self._by_certificate.get(sha256, ()):
            if enrolment.valid_from <= at < enrolment.valid_to:
                return enrolment.organisation
        return None

    def resolve(self, recipient: str, sender: str, at: datetime) -> Codes:
        """Return who is meant by a code, a legacy code or a group name, sorted.

        A code means its organisation even when that no longer exists (`may_receive` tells); a group means the members
        that exist at the moment, without its sender and, for the groups by level, without the axis.

        Raises:
            Refused: `recipient-unknown`, the directory knows neither such a code nor such a group.
        """
        if recipient in self._by_group:
            return tuple(code for code in self._members_at(recipient, at) if code != sender)
        organisation = self._by_code.get(recipient) or self._by_legacy_code.get(recipient)
        if organisation is None:
            raise self._unknown(recipient)
        return (organisation.code,)

    def may_receive(self, code: str, at: datetime) -> bool:
        """Return whether the organisation is known and exists at this moment; a suspended one still receives."""
        organisation = self._by_code.get(code)
        return organisation is not None and organisation.exists_on(_day(at))

    def may_send(self, code: str, at: datetime) -> bool:
        """Return whether the organisation is known, exists at this moment and is not suspended."""
        organisation = self._by_code.get(code)
        return organisation is not None and not organisation.suspended and organisation.exists_on(_day(at))

    def _members_at(self, group: str, at: datetime) -> Codes:
        """Return the members that exist at the moment; between two boundary days the answer is kept."""
        day = _day(at)
        key = (group, bisect_right(self._boundaries, day))
        if (members := self._members.get(key)) is None:
            members = tuple(each.code for each in self._by_group[group] if each.exists_on(day))
            self._members[key] = members
        return members

    def _unknown(self, recipient: str) -> Refused:
        return Refused(
            Reason.RECIPIENT_UNKNOWN,
            f"got {shown(recipient)}, expected a code, a legacy code or a group of directory {self.version};"
            " look it up and send again",
        )


def _days(organisation: Organisation) -> Iterator[date]:
    yield organisation.valid_from
    if organisation.valid_to is not None:
        yield organisation.valid_to


def _day(at: datetime) -> date:
    """Return the Vietnamese calendar day of a moment; a moment without a zone is a defect of the caller."""
    if at.utcoffset() is None:
        raise TypeError("got a moment without a time zone, expected an aware one; take it from a Clock")
    try:
        return at.astimezone(LOCAL_TIME).date()
    except OverflowError:
        return at.date()  # at either end of the calendar, where a certificate's holder may claim to sign


def _canonical(*contents: tuple[Organisation, ...] | tuple[Group, ...] | tuple[Enrolment, ...]) -> bytes:
    """Render sorted contents as JSON without blanks; the order of the fields is part of the version's meaning."""

    def text(value: object) -> str:
        match value:
            case datetime():
                return value.astimezone(UTC).isoformat()
            case date():
                return value.isoformat()
            case bytes():
                return value.hex()
            case _:
                raise TypeError(f"got {type(value).__name__}, expected a moment, a day or a digest")

    # Not `astuple`, which copies every value first: each command of a node reads the directory.
    rows = [[[getattr(each, name.name) for name in fields(each)] for each in part] for part in contents]
    return json.dumps(rows, default=text, ensure_ascii=False, separators=(",", ":")).encode()
