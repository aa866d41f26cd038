"""Public test tools: a real broker, a development PKI, so that member organisations test against what we test against."""
