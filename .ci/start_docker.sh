#!/bin/sh
# Gives the CI machine a Docker engine where it can: installs docker.io, docker-compose and debootstrap if they are
# missing, starts the engine and waits until it answers. Without an engine the Docker tests are skipped by name, so a
# failure here is told and not fatal.
set -u

LOG=${DOCKERD_LOG:-/tmp/dockerd.log}
WAIT_SECONDS=30

without() {
    echo "no Docker engine: $1; the Docker tests will be skipped" >&2
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
for command in dockerd docker docker-compose debootstrap; do
    command -v "$command" >/dev/null && continue
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q docker.io docker-compose debootstrap; } \
        >"$LOG" 2>&1 || without "docker.io, docker-compose and debootstrap could not be installed, see $LOG"
    break
done
# From the usual engine to what a narrow sandbox still allows: no overlay file system, then no network of its own.
start ||
    start --storage-driver=vfs ||
    start --storage-driver=vfs --iptables=false --bridge=none ||
    without "dockerd does not start: $(tail -n 1 "$LOG")"
