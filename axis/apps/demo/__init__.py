"""A short working day on a real Kafka: six steps, each with claims that are computed from what was read back.

claims       what a step finds: statements, whether each held, and its evidence
stage        what the steps play on: a running site, a router as a child process, nodes, a witness
documents    the invented documents; bulk: many of them
handover … accounting   the steps, one module each
programme    the order of the steps
"""
