"""The `axis` command: a module per command."""
