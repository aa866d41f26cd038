"""The write side: publish a signed document."""
