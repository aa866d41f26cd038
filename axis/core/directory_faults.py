"""What contradicts itself in a directory, in words that say what to change."""

import re
from collections.abc import Collection, Iterator
from itertools import chain, pairwise
from operator import attrgetter
from typing import Final
from unicodedata import category, is_normalized

from axis.core.addressing import (
    BUILT_IN_GROUPS,
    ROOT_LEVELS,
    Enrolment,
    Group,
    Organisation,
    OrganisationCode,
    is_code,
    is_legacy_code,
    shown,
)
from axis.core.digest import DIGEST_BYTES

_GROUP_NAME: Final = re.compile(r"@[a-z0-9]+(-[a-z0-9]+)*")
_LOOKALIKES_OF_D_STROKE: Final = frozenset("\u00d0\u00f0\u0189\u0256")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
ENROLMENT_ORDER: Final = attrgetter("certificate_sha256", "valid_from")


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
    if not is_code(organisation.code):
        yield f"{owner}: code is not in the form of Quyết định 20/2020/QĐ-TTg, such as H56.14812"
    if organisation.legacy_code is not None and not is_legacy_code(organisation.legacy_code):
        yield f"{owner}: legacy code {shown(organisation.legacy_code)} is not in the form 000.00.00.H56"
    if organisation.parent is None and organisation.level not in ROOT_LEVELS:
        yield f"{owner}: has no parent; only a province and the axis stand alone"
    if organisation.parent is not None and organisation.parent not in known:
        yield f"{owner}: unknown parent {shown(organisation.parent)}; add it or correct the code"
    if organisation.valid_to is not None and organisation.valid_to <= organisation.valid_from:
        yield f"{owner}: dates reversed, valid_to {organisation.valid_to} is not after {organisation.valid_from}"


def _group_faults(group: Group, known: Collection[str]) -> Iterator[str]:
    owner = f"group {shown(group.name)}"
    yield from name_faults(owner, group.title)
    if group.name in BUILT_IN_GROUPS:
        yield f"{owner}: the name is built in; choose another"
    if not _GROUP_NAME.fullmatch(group.name):
        yield f"{owner}: expected @ and lower-case ASCII words joined by hyphens, such as @ba-thuoc"
    if not group.members:
        yield f"{owner}: has no members; list at least one code"
    yield from _duplicates(f"{owner}: member", group.members)
    yield from (
        f"{owner}: names the unknown code {shown(code)}; add the organisation or correct the code"
        for code in group.members
        if code not in known
    )


def _enrolment_faults(enrolment: Enrolment, known: Collection[str]) -> Iterator[str]:
    owner = f"enrolment of certificate {enrolment.certificate_sha256.hex()[:16]}"
    if len(enrolment.certificate_sha256) != DIGEST_BYTES:
        yield f"{owner}: digest has {len(enrolment.certificate_sha256)} bytes, expected {DIGEST_BYTES}"
    if enrolment.organisation not in known:
        yield f"{owner}: names the unknown code {shown(enrolment.organisation)}; add the organisation first"
    if not _is_zoned(enrolment):
        yield f"{owner}: a moment has no time zone; write it with one, such as 2025-07-01T00:00:00+07:00"
    elif enrolment.valid_to <= enrolment.valid_from:
        yield f"{owner}: dates reversed, valid_to is not after valid_from"


def _is_zoned(enrolment: Enrolment) -> bool:
    return None not in {enrolment.valid_from.utcoffset(), enrolment.valid_to.utcoffset()}


def _enrolment_overlaps(enrolments: Collection[Enrolment]) -> Iterator[str]:
    """Yield the certificates that would speak for two organisations at one moment."""
    zoned = [each for each in enrolments if _is_zoned(each)]
    for earlier, later in pairwise(sorted(zoned, key=ENROLMENT_ORDER)):
        if earlier.certificate_sha256 == later.certificate_sha256 and later.valid_from < earlier.valid_to:
            yield f"enrolment of certificate {later.certificate_sha256.hex()[:16]}: two entries overlap in time"


def _duplicates(what: str, values: Collection[str]) -> Iterator[str]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield f"{what} {shown(value)} appears more than once; keep one"
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
