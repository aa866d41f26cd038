"""What a step of the demo finds: claims, each with its evidence."""

from dataclasses import dataclass

from axis.ports import Record

_DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words for people: Vietnamese, then English."""

    vietnamese: str
    english: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement about the axis, and whether it held.

    Attributes:
        words: the statement.
        held: computed from what was read back from Kafka, journals or files.
        evidence: where to see it again: places, digests, counts; never content.
    """

    words: Phrase
    held: bool
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that one step found.

    Attributes:
        claims: at least one; a step that claims nothing has not held.
        proof: the most telling evidence, on one line.
    """

    claims: tuple[Claim, ...]
    proof: str

    @property
    def held(self) -> bool:
        """Whether every claim held."""
        return bool(self.claims) and all(claim.held for claim in self.claims)


def place(record: Record) -> str:
    """Return where a record stands, as `topic[partition]@offset`."""
    return f"{record.topic}[{record.partition}]@{record.offset}"


def short(digest: bytes) -> str:
    """Return the beginning of a SHA-256 for people to compare."""
    return f"sha256:{digest.hex()[:_DIGEST_DIGITS]}…"
