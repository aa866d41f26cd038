"""What administrators change on a Kafka cluster: topics."""
