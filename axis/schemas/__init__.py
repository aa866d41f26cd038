"""The wire formats: Avro schemas with their codec, and the one hardened XML parser."""
