"""Signatures and certificates: bytes in, facts or an exception out; no files, no network."""
