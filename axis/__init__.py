"""The provincial document-exchange axis: signed envelopes over Kafka, exactly once, with provable receipts."""

__version__ = "0.2.0"
