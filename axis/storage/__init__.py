"""Durable state outside Kafka: content-addressed blobs, router decisions, a node's journal."""
