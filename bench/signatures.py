"""Verification of signatures alone: one core, no broker, certificates judged once and remembered."""

import statistics
import time
from typing import Final

from axis.core.envelope import Envelope
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from axis.crypto.signing import verify_detached
from axis.schemas import avro
from bench.documents import Authors
from bench.ground import Ground

_ROUNDS: Final = 5


def signatures(ground: Ground, authors: Authors, *, count: int) -> dict[str, float]:
    """Verify signed envelopes that are decoded already; the median of five rounds."""
    validator = CertificateValidator(
        [ground.settings.signatures.anchors.read_bytes()], revocation=RevocationNotChecked()
    )
    documents = authors.write(count)
    envelopes = [each for document in documents if isinstance(each := avro.decode(document.value), Envelope)]
    rates = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for envelope in envelopes:
            facts = verify_detached(envelope.manifest, envelope.signature)
            validator.validate(facts.certificate, facts.chain, facts.signing_time)
        rates.append(len(envelopes) / (time.perf_counter() - began))
    return {
        "verify.docs_per_s": statistics.median(rates),
        "verify.cpu_s_per_1000": 1000 / statistics.median(rates),
        "document.bytes": statistics.mean(len(document.value) for document in documents),
    }
