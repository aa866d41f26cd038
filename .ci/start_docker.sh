#!/bin/sh
# Gives the CI machine a Docker engine where it can: installs docker.io if it is missing, starts the engine and waits until
# it answers. A failure here is told and not fatal: the Docker tests themselves fail without an engine, or are skipped where
# AXIS_REQUIRE_DOCKER is not 1.
set -u

LOG=${DOCKERD_LOG:-/tmp/dockerd.log}
WAIT_SECONDS=30

without() {
    echo "no Docker engine: $1; no Docker test can run" >&2
    exit 0
}

answers() {
    docker version >/dev/null 2>&1
}

# start OPTIONS: runs the engine in a session of its own and waits until it answers or ends.
start() {
    setsid dockerd "$@" >"$LOG" 2>&1 </dev/null &
    engine=$!
    waited=0
    while [ "$waited" -lt "$WAIT_SECONDS" ] && kill -0 "$engine" 2>/dev/null; do
        answers && return 0
        sleep 1
        waited=$((waited + 1))
    done
    kill "$engine" 2>/dev/null
    wait "$engine" 2>/dev/null
    return 1
}

answers && exit 0
[ "$(id -u)" -eq 0 ] || without "none answers and only root can start one"
if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q docker.io; } >"$LOG" 2>&1 ||
        without "docker.io could not be installed, see $LOG"
fi
# From the usual engine to what a narrow sandbox still allows: no overlay file system, then no network of its own.
start ||
    start --storage-driver=vfs ||
    start --storage-driver=vfs --iptables=false --bridge=none ||
    without "dockerd does not start: $(tail -n 1 "$LOG")"
