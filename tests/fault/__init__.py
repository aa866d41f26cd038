"""Tests that break an installation: processes, broker, network, disk; an oracle judges it after each."""
