"""What contradicts itself in a directory, in words that say what to change."""

import re
from collections.abc import Collection, Iterator
from itertools import pairwise
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
from axis.errors import Bilingual

_GROUP_NAME: Final = re.compile(r"@[a-z0-9]+(-[a-z0-9]+)*")
_LOOKALIKES_OF_D_STROKE: Final = frozenset("\u00d0\u00f0\u0189\u0256")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
ENROLMENT_ORDER: Final = attrgetter("certificate_sha256", "valid_from")


def directory_faults(
    organisations: Collection[Organisation],
    groups: Collection[Group],
    enrolments: Collection[Enrolment],
    also_known: frozenset[str] = frozenset(),
) -> list[Bilingual]:
    """Return every contradiction in these contents, in words.

    Args:
        organisations: what would be in the directory.
        groups: the named groups.
        enrolments: the certificates.
        also_known: codes that may be named although they are not among the organisations, because their own entry is
            already reported as faulty.
    """
    known = {each.code for each in organisations} | also_known
    legacy_codes = [each.legacy_code for each in organisations if each.legacy_code]
    return [
        *_duplicates(Bilingual("mã cơ quan", "organisation code"), [each.code for each in organisations]),
        *_duplicates(Bilingual("mã cũ (legacy_code)", "legacy code"), legacy_codes),
        *_duplicates(Bilingual("tên nhóm", "group name"), [each.name for each in groups]),
        *(
            fault.about(_organisation(each.code))
            for each in organisations
            for fault in _organisation_faults(each, known)
        ),
        *_cycles({each.code: each.parent for each in organisations}),
        *(fault.about(_group(each)) for each in groups for fault in _group_faults(each, known)),
        *(fault.about(_enrolment(each)) for each in enrolments for fault in _enrolment_faults(each, known)),
        *_enrolment_overlaps(enrolments),
    ]


def _organisation(code: str) -> Bilingual:
    return Bilingual(f"cơ quan {code}", f"organisation {code}")


def _group(group: Group) -> Bilingual:
    return Bilingual(f"nhóm {shown(group.name)}", f"group {shown(group.name)}")


def _enrolment(enrolment: Enrolment) -> Bilingual:
    digest = enrolment.certificate_sha256.hex()[:16]
    return Bilingual(f"đăng ký chứng thư {digest}", f"enrolment of certificate {digest}")


def _name_faults(name: str) -> Iterator[Bilingual]:
    """Yield what is wrong with a name that people will read."""
    if not name.strip() or name != name.strip():
        yield Bilingual(
            "tên trống, hoặc có khoảng trắng ở đầu hay cuối; hãy viết lại, không để khoảng trắng ở hai đầu",
            "name is empty or has blanks around it; write it without them",
        )
    if not is_normalized("NFC", name):
        yield Bilingual(
            "tên không ở dạng Unicode NFC; hãy chuyển về dạng NFC",
            "name is not in Unicode form NFC; normalise it",
        )
    if any(category(character) in _INVISIBLE for character in name):
        yield Bilingual(
            "tên có ký tự điều khiển hoặc ký tự không nhìn thấy được; hãy xóa ký tự đó",
            "name has a zero-width or control character; remove it",
        )
    if not _LOOKALIKES_OF_D_STROKE.isdisjoint(name):
        yield Bilingual(
            "tên có ký tự trông giống chữ Đ hay đ, như Ð (U+00D0); hãy thay bằng Đ (U+0110) hoặc đ (U+0111)",
            "name has a look-alike such as Ð (U+00D0) in place of Đ (U+0110) or đ (U+0111); replace it",
        )


def _organisation_faults(organisation: Organisation, known: Collection[str]) -> Iterator[Bilingual]:
    yield from _name_faults(organisation.name)
    if not is_code(organisation.code):
        yield Bilingual(
            "mã không đúng dạng của Quyết định 20/2020/QĐ-TTg; hãy sửa thành mã có dạng như H56.14812",
            "code is not in the form of Quyết định 20/2020/QĐ-TTg, such as H56.14812",
        )
    if organisation.legacy_code is not None and not is_legacy_code(organisation.legacy_code):
        yield Bilingual(
            f"mã cũ (legacy_code) là {shown(organisation.legacy_code)}, phải có dạng 000.00.00.H56",
            f"legacy code {shown(organisation.legacy_code)} is not in the form 000.00.00.H56",
        )
    if organisation.parent is None and organisation.level not in ROOT_LEVELS:
        yield Bilingual(
            "thiếu cơ quan cấp trên (parent); chỉ tỉnh và trục mới không có cấp trên",
            "has no parent; only a province and the axis stand alone",
        )
    if organisation.parent is not None and organisation.parent not in known:
        yield Bilingual(
            f"danh bạ không có cơ quan cấp trên (parent) {shown(organisation.parent)}; hãy thêm cơ quan đó hoặc sửa mã",
            f"unknown parent {shown(organisation.parent)}; add it or correct the code",
        )
    if organisation.valid_to is not None and organisation.valid_to <= organisation.valid_from:
        yield Bilingual(
            f"ngày bị đảo ngược: valid_to là {organisation.valid_to}, phải sau valid_from {organisation.valid_from}",
            f"dates reversed, valid_to {organisation.valid_to} is not after {organisation.valid_from}",
        )


def _group_faults(group: Group, known: Collection[str]) -> Iterator[Bilingual]:
    yield from _name_faults(group.title)
    if group.name in BUILT_IN_GROUPS:
        yield Bilingual(
            "tên này là của nhóm có sẵn; hãy chọn tên khác",
            "the name is built in; choose another",
        )
    if not _GROUP_NAME.fullmatch(group.name):
        yield Bilingual(
            "tên phải gồm @ rồi các từ ASCII viết thường nối bằng dấu gạch nối, ví dụ @ba-thuoc",
            "expected @ and lower-case ASCII words joined by hyphens, such as @ba-thuoc",
        )
    if not group.members:
        yield Bilingual(
            "không có thành viên nào; hãy ghi ít nhất một mã cơ quan vào members",
            "has no members; list at least one code",
        )
    yield from _duplicates(Bilingual("thành viên", "member"), group.members)
    yield from (
        Bilingual(
            f"có mã {shown(code)} mà danh bạ không có; hãy thêm cơ quan đó hoặc sửa mã",
            f"names the unknown code {shown(code)}; add the organisation or correct the code",
        )
        for code in group.members
        if code not in known
    )


def _enrolment_faults(enrolment: Enrolment, known: Collection[str]) -> Iterator[Bilingual]:
    if (size := len(enrolment.certificate_sha256)) != DIGEST_BYTES:
        yield Bilingual(
            f"SHA-256 của chứng thư dài {size} byte, phải là {DIGEST_BYTES}",
            f"digest has {size} bytes, expected {DIGEST_BYTES}",
        )
    if enrolment.organisation not in known:
        yield Bilingual(
            f"có mã {shown(enrolment.organisation)} mà danh bạ không có; hãy thêm cơ quan đó trước",
            f"names the unknown code {shown(enrolment.organisation)}; add the organisation first",
        )
    if not _is_zoned(enrolment):
        yield Bilingual(
            "có thời điểm thiếu múi giờ; hãy ghi kèm múi giờ, ví dụ 2025-07-01T00:00:00+07:00",
            "a moment has no time zone; write it with one, such as 2025-07-01T00:00:00+07:00",
        )
    elif enrolment.valid_to <= enrolment.valid_from:
        yield Bilingual(
            "ngày bị đảo ngược: valid_to phải sau valid_from",
            "dates reversed, valid_to is not after valid_from",
        )


def _is_zoned(enrolment: Enrolment) -> bool:
    return None not in {enrolment.valid_from.utcoffset(), enrolment.valid_to.utcoffset()}


def _enrolment_overlaps(enrolments: Collection[Enrolment]) -> Iterator[Bilingual]:
    """Yield the certificates that would speak for two organisations at one moment."""
    fault = Bilingual(
        "hai mục trùng nhau về thời gian; mỗi lúc một chứng thư chỉ thuộc về một cơ quan",
        "two entries overlap in time",
    )
    zoned = [each for each in enrolments if _is_zoned(each)]
    for earlier, later in pairwise(sorted(zoned, key=ENROLMENT_ORDER)):
        if earlier.certificate_sha256 == later.certificate_sha256 and later.valid_from < earlier.valid_to:
            yield fault.about(_enrolment(later))


def _duplicates(what: Bilingual, values: Collection[str]) -> Iterator[Bilingual]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield Bilingual(
                f"{what.vietnamese} {shown(value)} xuất hiện nhiều lần; hãy giữ lại một",
                f"{what} {shown(value)} appears more than once; keep one",
            )
        seen.add(value)


def _cycles(parents: dict[OrganisationCode, OrganisationCode | None]) -> Iterator[Bilingual]:
    fault = Bilingual(
        "là cấp trên (parent) của chính mình, trực tiếp hoặc qua cơ quan khác; hãy sửa parent",
        "is its own parent, directly or through others",
    )
    for code, parent in parents.items():
        above = parent
        for _ in parents:
            if above is None or above == code:
                break
            above = parents.get(above)
        if above == code:
            yield fault.about(_organisation(code))
