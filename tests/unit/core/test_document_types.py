"""The 29 types of documents."""

import re

from axis.core.document_types import DOCUMENT_TYPES


def test_there_are_the_29_types_of_the_decree() -> None:
    """NĐ 30/2020, art. 7 lists 29 types; each has a code and a name of its own."""
    assert len(DOCUMENT_TYPES) == 29
    assert len({each.name for each in DOCUMENT_TYPES.values()}) == 29
    assert all(
        code == each.code and re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code, each in DOCUMENT_TYPES.items()
    )


def test_abbreviations_are_unique_where_there_are_any() -> None:
    """Annex III gives all but two types an abbreviation, and none twice."""
    given = [each.abbreviation for each in DOCUMENT_TYPES.values() if each.abbreviation]
    assert len(given) == len(set(given)) == 27
    assert {code for code, each in DOCUMENT_TYPES.items() if not each.abbreviation} == {
        "cong-van",
        "thu-cong",
    }
