"""Vietnamese words for the axis's own terms, as tables and messages show them; codes stay as they are in JSON."""

from collections.abc import Mapping
from typing import Final

from axis.core.consignment import State
from axis.core.disposition import Reason
from axis.core.envelope import Urgency
from axis.core.receipt import Event, Outcome

URGENCIES: Final = {
    Urgency.NORMAL: "Thường",
    Urgency.URGENT: "Khẩn",
    Urgency.VERY_URGENT: "Thượng khẩn",
    Urgency.FLASH: "Hỏa tốc",
    Urgency.FLASH_TIMED: "Hỏa tốc hẹn giờ",
}
"""The degrees of urgency of Nghị định 30/2020/NĐ-CP and QCVN 102:2016."""

STATES: Final = {
    State.STORED: "đã ký và lưu, chưa gửi",
    State.SUBMITTED: "đã gửi, chờ trục tiếp nhận",
    State.ACCEPTED: "trục đã tiếp nhận, chờ bàn giao",
    State.REJECTED: "trục từ chối",
    State.HANDED_OVER: "mọi nơi nhận đã nhận",
}

OUTCOMES: Final = {
    Outcome.CONSIGNED: "đã chuyển vào hộp thư",
    Outcome.REFUSED: "bị từ chối",
    Outcome.HANDED_OVER: "đã nhận",
}

EVENTS: Final = {
    Event.SUBMISSION_ACCEPTANCE: "trục tiếp nhận",
    Event.SUBMISSION_REJECTION: "trục từ chối",
    Event.CONTENT_HANDOVER: "nơi nhận đã nhận",
    Event.INBOX_OPENED: "mở hộp thư",
}

REASONS: Final[Mapping[str, str]] = {
    Reason.UNDECODABLE: "không đọc được bản ghi",
    Reason.SCHEMA_UNKNOWN: "lược đồ không biết",
    Reason.OVERSIZED: "quá lớn",
    Reason.SIGNATURE_MISSING: "thiếu chữ ký số",
    Reason.SIGNATURE_MALFORMED: "chữ ký số sai cấu trúc",
    Reason.SIGNATURE_INVALID: "chữ ký số không đúng",
    Reason.ALGORITHM_REFUSED: "thuật toán ký không được chấp nhận",
    Reason.CERTIFICATE_UNTRUSTED: "chứng thư không đáng tin cậy",
    Reason.CERTIFICATE_EXPIRED: "chứng thư không còn hiệu lực",
    Reason.CERTIFICATE_REVOKED: "chứng thư đã bị thu hồi",
    Reason.CERTIFICATE_USAGE: "chứng thư không dùng để ký văn bản",
    Reason.CERTIFICATE_NOT_ENROLLED: "chứng thư chưa đăng ký cho cơ quan nào",
    Reason.INTERNAL_ERROR: "lỗi của trục",
    Reason.PART_ALTERED: "tệp bị thay đổi sau khi ký",
    Reason.PART_TOO_LARGE: "tệp quá lớn",
    Reason.BLOB_MISSING: "thiếu tệp lớn trong kho",
    Reason.INBOX_MISSING: "nơi nhận chưa có hộp thư",
    Reason.WRONG_LANE: "sai làn gửi",
    Reason.WRONG_PARTITION: "sai phân vùng",
    Reason.MANIFEST_MALFORMED: "danh mục tệp sai cấu trúc",
    Reason.PART_NAME_REFUSED: "tên tệp không được chấp nhận",
    Reason.HEADER_MALFORMED: "thông tin văn bản chưa đúng",
    Reason.VERSION_UNKNOWN: "phiên bản của nơi gửi mới hơn của trục",
    Reason.HEADER_TOO_LARGE: "thông tin văn bản quá dài",
    Reason.PARTS_TOO_MANY: "số tệp không hợp lệ",
    Reason.SENDER_MISMATCH: "nơi gửi khác người ký",
    Reason.SENDER_NOT_ALLOWED: "nơi gửi không được phép gửi",
    Reason.ENVIRONMENT_MISMATCH: "sai môi trường",
    Reason.RECIPIENTS_EMPTY: "chưa có nơi nhận",
    Reason.RECIPIENTS_TOO_MANY: "quá nhiều nơi nhận",
    Reason.RECIPIENT_UNKNOWN: "không có nơi nhận này",
    Reason.RECIPIENT_NOT_ALLOWED: "không được gửi tới nơi nhận này",
    Reason.EXPIRED: "đã quá hạn hiệu lực",
    Reason.SIGNING_TIME_SKEWED: "thời điểm ký không hợp lệ",
    Reason.MESSAGE_ID_CONFLICT: "trùng mã thông điệp với văn bản khác",
    Reason.RECEIPT_NOT_ALLOWED: "biên nhận không được phép",
    # Not in receipts: what a node itself finds wrong.
    "broker-refused": "Kafka không nhận",
    "code-invalid": "mã cơ quan sai dạng",
    "file-empty": "tệp rỗng",
    "file-exists": "đã có tệp khác cùng tên",
    "file-missing": "không đọc được tệp",
    "not-waiting": "không chờ gửi",
    "not-addressed": "văn bản không gửi cho cơ quan này",
    "receipt-not-ours": "biên nhận của văn bản khác",
    "receipt-out-of-order": "biên nhận sai thứ tự",
}
"""Why something was not delivered or passed on; a code that is not here (of a later version) is shown as it is."""


def reason_words(code: str) -> str:
    """Return a reason for people: the Vietnamese words with the code, or the code alone where there are none."""
    words = REASONS.get(code)
    return f"{words} ({code})" if words else code
