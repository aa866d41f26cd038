"""Tests in which somebody forges, alters, floods or lies; all on one stage."""
