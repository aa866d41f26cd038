"""Codes as texts."""

import pytest

from axis.core.addressing import is_legacy_code, parse_code
from axis.errors import Refused


@pytest.mark.parametrize("text", ["H56", "H56.14812", "H37.DN.001", "G01." + "A" * 31])
def test_parse_code_accepts_the_form_of_the_decision(text: str) -> None:
    """A code of Quyết định 20/2020 is accepted, up to 35 characters."""
    assert parse_code(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h56",
        "H56.",
        "H56..1",
        "H56.14812\n",
        "H５６",
        "H56.Đ1",
        "000.00.00.H56",
        "G01." + "A" * 32,
        "@all",
    ],
)
def test_parse_code_refuses_other_forms(text: str) -> None:
    """Anything else is refused, wide digits and a trailing line break included."""
    with pytest.raises(Refused) as caught:
        parse_code(text)
    assert caught.value.reason == "code-invalid"


@pytest.mark.parametrize(
    ("text", "expected"), [("000.00.00.H56", True), ("H56", False), ("٠٠٠.00.00.H56", False)]
)
def test_legacy_form_is_ascii_digits_only(text: str, expected: bool) -> None:
    """The form of Quyết định 28/2018 has ASCII digits; other digits of Unicode are not digits here."""
    assert is_legacy_code(text) is expected
