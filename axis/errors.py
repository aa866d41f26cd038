"""The exceptions of the axis, by whose fault it is.

    AxisError
    ├── Refused             the sender's matter: a rule was broken; never retried, answered with a receipt
    │   ├── SignatureRefused, CertificateRefused   (axis.crypto.refusals) the rules of signatures and certificates
    │   └── DraftRefused    (axis.producers.publish) every rule that a draft breaks, before it is sent
    ├── Unavailable         a fault outside: the same call may succeed later
    │   └── OutcomeUnknown  the effect may have happened; repeat with the same identity, never with a new one
    ├── BlobMissing         (axis.storage.blobs) no content is stored under a digest
    ├── NotFound            (axis.cli.exit_codes) what a command was asked about by name does not exist here
    ├── IntegrityError      evidence does not hold: a signature, digest or history is not what it claims
    ├── ConfigurationError  the operator's matter: every fault found is listed at once
    └── IllegalTransition   our own fault: a step was asked for that the state does not allow

Every message says what was got, what was expected and what to do; none carries a document's content or a secret.
"""

from typing import Self


class Bilingual(str):
    """A message for people in both languages; as text it is the English one, which is what logs and programs see.

    Attributes:
        vietnamese: the same in Vietnamese, shown first.
    """

    __slots__ = ("vietnamese",)

    vietnamese: str

    def __new__(cls, vietnamese: str, english: str) -> Self:  # noqa: D102 - documented on the class
        message = super().__new__(cls, english)
        message.vietnamese = vietnamese
        return message

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return what an error says; where it says it in English alone, that stands for both."""
        told = error.args[0] if error.args else None
        return cls(told.vietnamese if isinstance(told, Bilingual) else str(error), str(error))

    def about(self, owner: str) -> Self:
        """Return the message behind what it is about, `owner: message`, in both languages."""
        vietnamese = owner.vietnamese if isinstance(owner, Bilingual) else owner
        return type(self)(f"{vietnamese}: {self.vietnamese}", f"{owner}: {self}")

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Return what makes an equal message, so that an error can leave the process in which it arose."""
        return type(self), (self.vietnamese, str(self))


class AxisError(Exception):
    """Base of every exception that the axis raises on purpose."""


class Refused(AxisError):  # noqa: N818 - named as the event it stands for
    """A rule was broken by the sender.

    Attributes:
        reason: the stable reason code (`axis.core.disposition.Reason`), as text.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Return what makes an equal one, so that it can leave the process in which it arose."""
        return type(self), (self.reason, self.detail)


class Unavailable(AxisError):  # noqa: N818 - named as the condition it stands for
    """Something outside does not answer or cannot take the write now; the same call may succeed later.

    Attributes:
        fault: for a write to Kafka, why it was not acknowledged: "timeout", "unreachable", "refused" or "fenced".
    """

    def __init__(self, message: str, *, fault: str | None = None) -> None:
        super().__init__(message)
        self.fault = fault


class OutcomeUnknown(Unavailable):
    """The effect may or may not have happened; only a repetition with the same identity is safe."""


class IntegrityError(AxisError):
    """Evidence does not hold: a signature, a digest or a history is not what it claims to be."""


class ConfigurationError(AxisError):
    """The configuration cannot be used; `faults` lists everything that is wrong with it."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class IllegalTransition(AxisError):  # noqa: N818 - named as the event it stands for
    """A step was asked for that the present state does not allow: a defect of the axis, not of its users."""
