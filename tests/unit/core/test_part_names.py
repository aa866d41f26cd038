"""Which names a part may have."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.part_names import fault_in_name


@pytest.mark.parametrize(
    "name",
    [
        "cong-van.pdf",
        "Tờ trình số 17 (bản ký).pdf",
        "a",
        "1.2.3.4",
        "console.txt",
        "comma.txt",
        "Đề án.docx",
        "x" * 255,
    ],
)
def test_ordinary_names_pass(name: str) -> None:
    """What people call their files is not refused."""
    assert fault_in_name(name, 255) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "empty"),
        ("x" * 256, "longer"),
        ("ệ" * 86, "longer"),
        ("\udcff" * 200, "longer"),
        ("a\udcffb", "control"),
        ("a\x00.pdf", "control"),
        ("a\r\nb.pdf", "control"),
        ("gpj.\u202efdp", "control"),
        ("a\u200bb.pdf", "control"),
        ("\ufeffa.pdf", "control"),
        ("a\u2028b", "control"),
        ("a\ue000b", "control"),
        ("a\u0378b", "control"),
        (unicodedata.normalize("NFD", "Tờ trình.pdf"), "NFC"),
        ("\u212a.pdf", "NFC"),
        ("../a", "separator"),
        ("/etc/passwd", "separator"),
        ("..\\a", "separator"),
        ("C:a", "separator"),
        ("a:stream", "separator"),
        ("a?", "separator"),
        ('a"b', "separator"),
        ("a|b", "separator"),
        ("<a>", "separator"),
        (".", "begins or ends"),
        ("..", "begins or ends"),
        (".bashrc", "begins or ends"),
        ("a.", "begins or ends"),
        ("a ", "begins or ends"),
        (" a", "begins or ends"),
        ("header.avro", "reserved"),
        ("Header.AVRO", "reserved"),
        ("META-INF", "reserved"),
        ("mimetype", "reserved"),
        ("con", "device"),
        ("CON.pdf", "device"),
        ("nul.tar.gz", "device"),
        ("aux .txt", "device"),
        ("Com1.txt", "device"),
        ("COM0", "device"),
        ("lpt9", "device"),
        ("com¹.txt", "device"),
    ],
)
def test_names_that_mislead_are_refused(name: str, fault: str) -> None:
    """Each of them would write elsewhere, break a file system or deceive a reader."""
    assert fault in (fault_in_name(name, 255) or "accepted")


@given(st.text(st.characters(), max_size=40))
def test_an_accepted_name_stays_in_its_folder(name: str) -> None:
    """What passes has no separator, is no reference to a folder, and has one visible spelling."""
    if fault_in_name(name, 255) is None:
        assert not set(name) & set("/\\:\0")
        assert name not in {".", ".."}
        assert unicodedata.normalize("NFC", name) == name
        assert name.encode()
        assert name.splitlines() == [name]
