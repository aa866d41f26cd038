"""The closed vocabularies of metric labels that no other part of the axis owns."""

from enum import StrEnum


class Stage(StrEnum):
    """A step of the router."""

    VERIFY = "verify"  # decode, check digests, signature and certificate
    ROUTE = "route"  # authorise, deduplicate, resolve recipients, copy to inboxes, sign receipts
    COMMIT = "commit"  # commit the Kafka transaction of one batch


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
