#!/bin/sh
# Fills build/wheelhouse, the build context of docker/Dockerfile: the locked wheels, the lock, the project's wheel.
#
# Usage: docker/wheelhouse.sh      (PYTHON names an interpreter of the image's version, 3.11, with pip and uv_build)
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
wheelhouse=build/wheelhouse
rm -rf "$wheelhouse"
mkdir -p "$wheelhouse"
"$python" -m pip download --quiet --only-binary=:all: --require-hashes \
    --requirement requirements/runtime.lock --dest "$wheelhouse"
# The build backend looks for its program on the path.
PATH=$(dirname "$python"):$PATH "$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$wheelhouse" .
cp requirements/runtime.lock "$wheelhouse/"
