"""Public test tools: a real broker, a development PKI, a log in memory and a clock to set, so that member organisations
test against what we test against."""
