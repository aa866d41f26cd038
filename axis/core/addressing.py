"""Who exists on the axis, under which codes, in which groups, with which certificates, since when.

A code alone does not say who is meant: the reorganisation of 1 July 2025 reused numbers of communes for others. So every
answer here is about a moment, and legacy codes are mapped by the directory's table alone, never by arithmetic.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from itertools import chain, pairwise
from operator import attrgetter
from typing import Final, NewType
from unicodedata import category, is_normalized

from axis.core.digest import DIGEST_BYTES, sha256
from axis.core.disposition import Reason
from axis.errors import ConfigurationError, Refused

OrganisationCode = NewType("OrganisationCode", str)
"""An identification code in the form of Quyết định 20/2020/QĐ-TTg: groups from the top level down, e.g. `H56.14812`."""

Codes = tuple[OrganisationCode, ...]

CODE_MAX_CHARACTERS: Final = 35
LOCAL_TIME: Final = timezone(timedelta(hours=7))
"""Vietnam has one zone and no daylight saving: a legal day begins at 17:00 UTC of the day before."""

_CODE: Final = re.compile(r"[A-Z][0-9]{2}(\.[A-Z0-9]+)*")
_LEGACY_CODE: Final = re.compile(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-Z][0-9]{2}")
_GROUP_NAME: Final = re.compile(r"@[a-z0-9]+(-[a-z0-9]+)*")
_LOOKALIKES_OF_D_STROKE: Final = frozenset("\u00d0\u00f0\u0189\u0256")
_ENROLMENT_ORDER: Final = attrgetter("certificate_sha256", "valid_from")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_SHOWN_CHARACTERS: Final = 48


def parse_code(text: str) -> OrganisationCode:
    """Return the text as a code.

    Raises:
        Refused: `code-invalid`, the text is not in the form of Quyết định 20/2020/QĐ-TTg (at most 35 ASCII characters).
    """
    if len(text) > CODE_MAX_CHARACTERS or not _CODE.fullmatch(text):
        raise Refused(
            "code-invalid",
            f"got {_shown(text)}, expected a letter, two digits and dotted groups of A-Z and 0-9, at most"
            f" {CODE_MAX_CHARACTERS} characters, such as H56.14812; look the code up in the directory",
        )
    return OrganisationCode(text)


def is_legacy_code(text: str) -> bool:
    """Return whether the text has the form of Quyết định 28/2018/QĐ-TTg, `000.00.00.H56`, read right to left."""
    return _LEGACY_CODE.fullmatch(text) is not None


class Level(StrEnum):
    """Tier of an organisation; `district` ended on 1 July 2025 and stays for the history, `axis` is the axis itself."""

    PROVINCE = "province"
    DEPARTMENT = "department"
    DISTRICT = "district"
    COMMUNE = "commune"
    WARD = "ward"
    AXIS = "axis"


ROOT_LEVELS: Final = frozenset({Level.PROVINCE, Level.AXIS})
"""Levels that may stand without a parent."""

_GROUP_LEVELS: Final = {
    "@all": frozenset(Level) - {Level.AXIS},
    "@communes": frozenset({Level.COMMUNE, Level.WARD}),
    "@departments": frozenset({Level.DEPARTMENT}),
}


@dataclass(frozen=True, slots=True)
class Organisation:
    """One organisation.

    Attributes:
        code: its present identification code.
        name: its official name, NFC, without invisible characters.
        level: its tier.
        parent: the organisation above it; `None` for a province and for the axis only.
        legacy_code: the code of Quyết định 28/2018/QĐ-TTg that also means it, if any.
        valid_from: first day, in Vietnamese time, on which it exists.
        valid_to: first day on which it no longer exists; `None` while no end is known.
        suspended: it may not send; its inbox goes on filling, so that nothing is lost meanwhile.
    """

    code: OrganisationCode
    name: str
    level: Level
    parent: OrganisationCode | None
    legacy_code: str | None
    valid_from: date
    valid_to: date | None
    suspended: bool = False

    def exists_on(self, day: date) -> bool:
        """Return whether it exists on this day (Vietnamese time)."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Group:
    """A named list of recipients, e.g. `@ba-thuoc`; `title` is its Vietnamese name."""

    name: str
    title: str
    members: Codes


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A certificate (SHA-256 of its DER) that speaks for an organisation from `valid_from` until before `valid_to`."""

    certificate_sha256: bytes
    organisation: OrganisationCode
    valid_from: datetime
    valid_to: datetime


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
        enrolments = tuple(sorted(self.enrolments, key=_ENROLMENT_ORDER))
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
                for name, levels in _GROUP_LEVELS.items()
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
            f"got {_shown(recipient)}, expected a code, a legacy code or a group of directory {self.version};"
            " look it up and send again",
        )


def directory_faults(
    organisations: Collection[Organisation],
    groups: Collection[Group],
    enrolments: Collection[Enrolment],
    also_known: frozenset[str] = frozenset(),
) -> list[str]:
    """Return every contradiction in these contents, in words.

    Args:
        organisations: what would be in the directory.
        groups: the named groups.
        enrolments: the certificates.
        also_known: codes that may be named although they are not among the organisations, because their own entry is
            already reported as faulty.
    """
    known = {each.code for each in organisations} | also_known
    return [
        *_duplicates("organisation code", [each.code for each in organisations]),
        *_duplicates("legacy code", [each.legacy_code for each in organisations if each.legacy_code]),
        *_duplicates("group name", [each.name for each in groups]),
        *chain.from_iterable(_organisation_faults(each, known) for each in organisations),
        *_cycles({each.code: each.parent for each in organisations}),
        *chain.from_iterable(_group_faults(each, known) for each in groups),
        *chain.from_iterable(_enrolment_faults(each, known) for each in enrolments),
        *_enrolment_overlaps(enrolments),
    ]


def name_faults(owner: str, name: str) -> Iterator[str]:
    """Yield what is wrong with a name that people will read, each fault beginning with its owner."""
    if not name.strip() or name != name.strip():
        yield f"{owner}: name is empty or has blanks around it; write it without them"
    if not is_normalized("NFC", name):
        yield f"{owner}: name is not in Unicode form NFC; normalise it"
    if any(category(character) in _INVISIBLE for character in name):
        yield f"{owner}: name has a zero-width or control character; remove it"
    if not _LOOKALIKES_OF_D_STROKE.isdisjoint(name):
        yield f"{owner}: name has a look-alike such as Ð (U+00D0) in place of Đ (U+0110) or đ (U+0111); replace it"


def _organisation_faults(organisation: Organisation, known: Collection[str]) -> Iterator[str]:
    owner = f"organisation {organisation.code}"
    yield from name_faults(owner, organisation.name)
    if len(organisation.code) > CODE_MAX_CHARACTERS or not _CODE.fullmatch(organisation.code):
        yield f"{owner}: code is not in the form of Quyết định 20/2020/QĐ-TTg, such as H56.14812"
    if organisation.legacy_code is not None and not is_legacy_code(organisation.legacy_code):
        yield f"{owner}: legacy code {_shown(organisation.legacy_code)} is not in the form 000.00.00.H56"
    if organisation.parent is None and organisation.level not in ROOT_LEVELS:
        yield f"{owner}: has no parent; only a province and the axis stand alone"
    if organisation.parent is not None and organisation.parent not in known:
        yield f"{owner}: unknown parent {_shown(organisation.parent)}; add it or correct the code"
    if organisation.valid_to is not None and organisation.valid_to <= organisation.valid_from:
        yield f"{owner}: dates reversed, valid_to {organisation.valid_to} is not after {organisation.valid_from}"


def _group_faults(group: Group, known: Collection[str]) -> Iterator[str]:
    owner = f"group {_shown(group.name)}"
    yield from name_faults(owner, group.title)
    if group.name in _GROUP_LEVELS:
        yield f"{owner}: the name is built in; choose another"
    if not _GROUP_NAME.fullmatch(group.name):
        yield f"{owner}: expected @ and lower-case ASCII words joined by hyphens, such as @ba-thuoc"
    if not group.members:
        yield f"{owner}: has no members; list at least one code"
    yield from _duplicates(f"{owner}: member", group.members)
    yield from (
        f"{owner}: names the unknown code {_shown(code)}; add the organisation or correct the code"
        for code in group.members
        if code not in known
    )


def _enrolment_faults(enrolment: Enrolment, known: Collection[str]) -> Iterator[str]:
    owner = f"enrolment of certificate {enrolment.certificate_sha256.hex()[:16]}"
    if len(enrolment.certificate_sha256) != DIGEST_BYTES:
        yield f"{owner}: digest has {len(enrolment.certificate_sha256)} bytes, expected {DIGEST_BYTES}"
    if enrolment.organisation not in known:
        yield f"{owner}: names the unknown code {_shown(enrolment.organisation)}; add the organisation first"
    if not _is_zoned(enrolment):
        yield f"{owner}: a moment has no time zone; write it with one, such as 2025-07-01T00:00:00+07:00"
    elif enrolment.valid_to <= enrolment.valid_from:
        yield f"{owner}: dates reversed, valid_to is not after valid_from"


def _is_zoned(enrolment: Enrolment) -> bool:
    return None not in {enrolment.valid_from.utcoffset(), enrolment.valid_to.utcoffset()}


def _enrolment_overlaps(enrolments: Collection[Enrolment]) -> Iterator[str]:
    """Yield the certificates that would speak for two organisations at one moment."""
    zoned = [each for each in enrolments if _is_zoned(each)]
    for earlier, later in pairwise(sorted(zoned, key=_ENROLMENT_ORDER)):
        if earlier.certificate_sha256 == later.certificate_sha256 and later.valid_from < earlier.valid_to:
            yield f"enrolment of certificate {later.certificate_sha256.hex()[:16]}: two entries overlap in time"


def _duplicates(what: str, values: Collection[str]) -> Iterator[str]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield f"{what} {_shown(value)} appears more than once; keep one"
        seen.add(value)


def _cycles(parents: dict[OrganisationCode, OrganisationCode | None]) -> Iterator[str]:
    for code, parent in parents.items():
        above = parent
        for _ in parents:
            if above is None or above == code:
                break
            above = parents.get(above)
        if above == code:
            yield f"organisation {code}: is its own parent, directly or through others"


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


def _shown(text: str) -> str:
    """Return foreign text for a message: quoted, escaped, of bounded length."""
    return ascii(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


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

    rows = [[astuple(each) for each in part] for part in contents]
    return json.dumps(rows, default=text, ensure_ascii=False, separators=(",", ":")).encode()
