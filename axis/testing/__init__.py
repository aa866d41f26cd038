"""Public test tools: a real broker, a development PKI, a log in memory, a clock to set; members test against what we do."""
