"""Start, signals, drain and wiring of each role."""
