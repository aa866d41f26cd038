"""The closed vocabularies of metric labels that no other part of the axis owns."""

from enum import StrEnum


class Channel(StrEnum):
    """The way by which an envelope reached the axis."""

    KAFKA = "kafka"


class Stage(StrEnum):
    """A step of the router."""

    VERIFY = "verify"  # decode, check digests, signature and certificate, authorise, resolve recipients
    ROUTE = "route"  # deduplicate, compare with what was decided before, sign receipts
    DELIVER = "deliver"  # write copies and receipts and make them readable, in one Kafka transaction


class TopicClass(StrEnum):
    """What a topic is for."""

    SUBMISSIONS_EXPRESS = "submissions-express"
    SUBMISSIONS_STANDARD = "submissions-standard"


class GroupClass(StrEnum):
    """Whose consumer group it is."""

    ROUTER = "router"


class DuplicateKind(StrEnum):
    """Whether a repeated message id came with the same envelope or with another one."""

    SAME = "same"
    CONFLICTING = "conflicting"


class ProduceFault(StrEnum):
    """Why a write was not acknowledged."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    FENCED = "fenced"  # another owner of the partition took over: expected when partitions move


class TransactionResult(StrEnum):
    """How a Kafka transaction ended; `unknown` is settled by whoever reads the committed offset next."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class ReceiptStatus(StrEnum):
    """Status code of a recipient's receipt (QCVN 102:2016); `none` for what the axis attests itself."""

    NONE = "none"
    ARRIVED = "01"
    DECLINED = "02"
    REGISTERED = "03"
    ASSIGNED = "04"
    IN_PROGRESS = "05"
    COMPLETED = "06"
    RECALL = "13"
    RECALL_AGREED = "15"
    RECALL_DECLINED = "16"


class DeliveryOutcome(StrEnum):
    """How a delivery ended."""

    FETCHED = "fetched"  # the recipient attests that it has the document
    REFUSED = "refused"  # it attests that it sends the document back


class ReplayPurpose(StrEnum):
    """Why records were read a second time."""

    RECOVERY = "recovery"  # a router task opened and read its decisions back


class CertificateUsage(StrEnum):
    """What a certificate is used for."""

    SIGNATURE = "signature"  # what an organisation sends
    TRANSPORT = "transport"  # the connection of this process to Kafka


class LogLevel(StrEnum):
    """Severity of a log event."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
