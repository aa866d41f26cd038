"""The rules that a submission's signed header, and the list of its parts, must keep before it is routed.

Each rule of the header is one function that returns nothing or raises `Refused`; `admit` runs them in the order in
which a sender would want to learn of them: who it is, what it is, for whom, when.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.document_types import DOCUMENT_TYPES
from axis.core.envelope import DOCUMENT_KIND, Header, is_message_id
from axis.core.part_names import fault_in_name
from axis.core.policy import AcceptancePolicy
from axis.errors import Refused

# Lengths in characters: NĐ 30/2020/NĐ-CP, annex VI part II; the number and notation of a legal text may be longer.
_MAX_CHARACTERS: Final = {"subject": 500, "number": 20, "notation": 60, "document_id": 200, "environment": 64}
# What lies far outside is no time that anybody means, and the ends of the calendar cannot be shown in Vietnamese time.
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_END: Final = datetime(2200, 1, 1, tzinfo=UTC)


def admit(
    header: Header,
    *,
    signer: OrganisationCode,
    signed_at: datetime,
    appended_at: datetime,
    directory: Directory,
    environment: str,
    policy: AcceptancePolicy,
) -> None:
    """Judge a header.

    Args:
        header: the signed header.
        signer: the organisation whose enrolled key signed it.
        signed_at: the signing time that the signature claims.
        appended_at: when the broker took the record; the only time that the sender does not control.
        directory: who exists.
        environment: the name of this installation.
        policy: the limits.

    Raises:
        Refused: with the first rule broken.
    """
    check_sender(header, signer)
    check_environment(header, environment)
    check_fields(header)
    check_recipient_count(header, policy)
    if not directory.may_send(signer, appended_at):
        raise Refused(
            Reason.SENDER_NOT_ALLOWED,
            f"{signer} is suspended or does not exist on that day, in directory {directory.version}",
        )
    check_times(header, signed_at, appended_at, policy)


def check_sender(header: Header, signer: OrganisationCode) -> None:
    """The organisation that signed is the one that is said to send."""
    if header.sender != signer:
        raise Refused(
            Reason.SENDER_MISMATCH,
            f"the header says {header.sender!a:.40}, the signing certificate is enrolled for {signer}",
        )


def check_environment(header: Header, environment: str) -> None:
    """A document for one installation never enters another."""
    if header.environment != environment:
        raise Refused(
            Reason.ENVIRONMENT_MISMATCH,
            f"got {header.environment!a:.70}, this installation is {environment!a}",
        )


def check_fields(header: Header) -> None:
    """The header's own fields have the forms that the schema cannot state."""
    if not is_message_id(header.message_id):
        raise Refused(
            Reason.HEADER_MALFORMED, f"message id {header.message_id!a:.60}, expected a lower-case UUIDv7"
        )
    for name, limit in _MAX_CHARACTERS.items():
        if len(text := getattr(header, name)) > limit:
            raise Refused(
                Reason.HEADER_MALFORMED, f"{name} has {len(text)} characters, expected at most {limit}"
            )
    if header.kind != DOCUMENT_KIND:
        raise Refused(Reason.VERSION_UNKNOWN, f"kind {header.kind!a:.40}, expected {DOCUMENT_KIND!a}")
    if not header.document_id:
        raise Refused(Reason.HEADER_MALFORMED, "document_id is empty, expected the document's identity")
    if header.document_type not in DOCUMENT_TYPES:
        raise Refused(
            Reason.HEADER_MALFORMED,
            f"document type {header.document_type!a:.40}, expected one of the 29 codes such as cong-van",
        )
    _check_times(header)
    for reference in header.references:
        if not is_message_id(reference):
            raise Refused(Reason.HEADER_MALFORMED, "a reference is not a lower-case UUIDv7")


def _check_times(header: Header) -> None:
    for name in ("created_at", "due_at", "expires_at"):
        if (at := getattr(header, name)) is not None and not _EARLIEST <= at < _END:
            raise Refused(
                Reason.HEADER_MALFORMED,
                f"{name} is {at:%Y-%m-%dT%H:%M:%SZ}, expected a year from {_EARLIEST.year} to {_END.year - 1}",
            )


def check_recipient_count(header: Header, policy: AcceptancePolicy) -> None:
    """There is somebody to deliver to, and not without bound."""
    if not header.recipients:
        raise Refused(Reason.RECIPIENTS_EMPTY, "got no recipient, expected at least one code or group")
    if len(header.recipients) > policy.max_recipients:
        raise Refused(
            Reason.RECIPIENTS_TOO_MANY,
            f"got {len(header.recipients)} recipients, expected at most {policy.max_recipients}; use a group",
        )


def part_faults(names: Sequence[str], policy: AcceptancePolicy) -> Iterator[Refused]:
    """Yield what is wrong with the number of an envelope's parts and with their names; a publisher wants all of it.

    None at all is right as well: the header is signed with the parts, and may be everything that a recall has to say.

    Args:
        names: of the parts, in their order; faults count them from 1.
        policy: the limits.
    """
    if len(names) > policy.max_parts:
        yield Refused(Reason.PARTS_TOO_MANY, f"got {len(names)} parts, expected at most {policy.max_parts}")
    earlier: set[str] = set()
    for position, name in enumerate(names, 1):
        if (fault := fault_in_name(name, policy.max_name_bytes)) is not None:
            yield Refused(Reason.PART_NAME_REFUSED, f"part {position}: {fault}")
        elif name.casefold() in earlier:
            yield Refused(Reason.PART_NAME_REFUSED, f"part {position}: an earlier part has the same name")
        earlier.add(name.casefold())


def check_times(header: Header, signed_at: datetime, appended_at: datetime, policy: AcceptancePolicy) -> None:
    """It was signed neither in the future nor too long ago, and it has not expired."""
    if signed_at > appended_at + policy.max_clock_skew:
        raise Refused(
            Reason.SIGNING_TIME_SKEWED,
            f"signed at {signed_at:%Y-%m-%dT%H:%M:%SZ}, taken at {appended_at:%Y-%m-%dT%H:%M:%SZ}: the sender's clock"
            f" is ahead by more than {policy.max_clock_skew}",
        )
    if signed_at < appended_at - policy.max_signing_age:
        raise Refused(
            Reason.SIGNING_TIME_SKEWED,
            f"signed at {signed_at:%Y-%m-%dT%H:%M:%SZ}, taken at {appended_at:%Y-%m-%dT%H:%M:%SZ}: older than"
            f" {policy.max_signing_age.days} days; sign it again",
        )
    if header.expires_at is not None and header.expires_at <= appended_at:
        raise Refused(
            Reason.EXPIRED,
            f"expired at {header.expires_at:%Y-%m-%dT%H:%M:%SZ}, taken at {appended_at:%Y-%m-%dT%H:%M:%SZ}",
        )
