"""What follows from each reason."""

import ast
from pathlib import Path

import axis.crypto
from axis.core.disposition import UNESTABLISHED, UNREMEMBERED, Disposition, Reason, disposition_of


def test_a_reason_is_quarantined_or_refused_and_never_both() -> None:
    """Where nobody is established there is nobody to tell, so nothing of it can be remembered for a sender."""
    assert not UNESTABLISHED & UNREMEMBERED
    assert {each for each in Reason if disposition_of(each) is Disposition.QUARANTINED} == UNESTABLISHED
    assert {each for each in Reason if disposition_of(each) is Disposition.REFUSED} == set(
        Reason
    ) - UNESTABLISHED


def test_reasons_are_stable_texts() -> None:
    """A reason is in receipts for twenty years: lower case words joined by hyphens, each its member's name."""
    assert all(each.value == each.name.lower().replace("_", "-") for each in Reason)


def test_every_reason_that_cryptography_gives_is_known() -> None:
    """A refusal with a reason off the list could neither be counted nor recorded, and would stop a partition."""
    given = set()
    for path in Path(axis.crypto.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(reason)), *_]):
                    given |= (
                        {reason} if name in {"SignatureRefused", "CertificateRefused", "refusal"} else set()
                    )
                case _:
                    pass
    assert len(given) >= 7
    assert given | {"certificate-revoked"} <= {each.value for each in Reason if each in UNESTABLISHED}
