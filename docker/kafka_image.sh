#!/bin/sh
# Builds the broker image from the jars in the cache, fetching them on first use.
#
# Usage: docker/kafka_image.sh [TAG]      (default apache/kafka:4.2.1; PYTHON names the project's interpreter)
set -eu
cd "$(dirname "$0")/.."
jars=$("${PYTHON:-.venv/bin/python}" -c 'from axis.testing.broker.runtime import Runtime; print(Runtime.find().jars)')
docker build --quiet --file docker/kafka.Dockerfile --tag "${1:-apache/kafka:4.2.1}" "$jars"
