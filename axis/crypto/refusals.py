"""What a signature or a certificate is refused for; the reasons are stable texts that receipts carry."""

from axis.errors import Refused


class SignatureRefused(Refused):
    """A signature does not hold.

    `reason` is one of `signature-missing`, `signature-malformed`, `signature-invalid`, `algorithm-refused`.
    """


class CertificateRefused(Refused):
    """A certificate may not sign documents at the time asked about.

    `reason` is one of `certificate-untrusted`, `certificate-expired` (also: not yet valid),
    `certificate-usage`, `algorithm-refused`; a revocation source may add `certificate-revoked`.
    """


def malformed(got: str, expected: str) -> SignatureRefused:
    """The refusal of a signature whose form is wrong."""
    return SignatureRefused(
        "signature-malformed", f"{got}; expected {expected}: sign with a tool that writes CAdES-B in DER"
    )
