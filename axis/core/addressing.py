"""Who exists on the axis: codes, organisations, groups, certificates.

A code alone does not say who is meant: the reorganisation of 1 July 2025 reused numbers of communes for others. So every
answer about one is about a moment, and legacy codes are mapped by the directory's table alone, never by arithmetic.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final, NewType

from axis.errors import Refused

OrganisationCode = NewType("OrganisationCode", str)
"""An identification code in the form of Quyết định 20/2020/QĐ-TTg: groups from the top level down, e.g. `H56.14812`."""

Codes = tuple[OrganisationCode, ...]

CODE_MAX_CHARACTERS: Final = 35
LOCAL_TIME: Final = timezone(timedelta(hours=7))
"""Vietnam has one zone and no daylight saving: a legal day begins at 17:00 UTC of the day before."""

_CODE: Final = re.compile(r"[A-Z][0-9]{2}(\.[A-Z0-9]+)*")
_LEGACY_CODE: Final = re.compile(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-Z][0-9]{2}")
_SHOWN_CHARACTERS: Final = 48


def parse_code(text: str) -> OrganisationCode:
    """Return the text as a code.

    Raises:
        Refused: `code-invalid`, the text is not in the form of Quyết định 20/2020/QĐ-TTg (at most 35 ASCII characters).
    """
    if not is_code(text):
        raise Refused(
            "code-invalid",
            f"got {shown(text)}, expected a letter, two digits and dotted groups of A-Z and 0-9, at most"
            f" {CODE_MAX_CHARACTERS} characters, such as H56.14812; look the code up in the directory",
        )
    return OrganisationCode(text)


def is_code(text: str) -> bool:
    """Return whether the text has the form of Quyết định 20/2020/QĐ-TTg, in at most 35 ASCII characters."""
    return len(text) <= CODE_MAX_CHARACTERS and _CODE.fullmatch(text) is not None


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

BUILT_IN_GROUPS: Final = {
    "@all": frozenset(Level) - {Level.AXIS},
    "@communes": frozenset({Level.COMMUNE, Level.WARD}),
    "@departments": frozenset({Level.DEPARTMENT}),
}
"""Groups that follow from the levels of their members."""


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


def shown(text: str) -> str:
    """Return foreign text for a message: quoted, escaped, of bounded length."""
    return ascii(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
