"""The closed vocabularies of metric labels that no other part of the axis owns."""

from enum import StrEnum


class Stage(StrEnum):
    """A step on the main path."""

    PUBLISH = "publish"  # the sender's side, until the broker has acknowledged
    VERIFY = "verify"  # decode, check digests, signature and certificate
    ROUTE = "route"  # authorise, deduplicate, resolve recipients, copy to inboxes
    RECEIPT = "receipt"  # encode and sign a receipt
    COMMIT = "commit"  # commit the Kafka transaction of one batch
    TAKE = "take"  # the recipient's side: read, verify, acknowledge


class TopicClass(StrEnum):
    """What a topic is for; all inboxes are one class, because one series per inbox would be hundreds."""

    SUBMISSIONS_EXPRESS = "submissions-express"
    SUBMISSIONS_STANDARD = "submissions-standard"
    INBOX = "inbox"
    RECEIPTS = "receipts"
    ROUTER_STATE = "router-state"
    QUARANTINE = "quarantine"
    DIRECTORY = "directory"


class GroupClass(StrEnum):
    """Whose consumer group it is; all nodes are one class."""

    ROUTER = "router"
    NODE = "node"


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


class ReplayPurpose(StrEnum):
    """Why history is read again."""

    AUDIT = "audit"
    RECOVERY = "recovery"


class CertificateUsage(StrEnum):
    """What a certificate is used for."""

    SIGNATURE = "signature"
    TRANSPORT = "transport"


class LogLevel(StrEnum):
    """Severity of a log event."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
