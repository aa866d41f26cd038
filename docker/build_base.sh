#!/bin/sh
# Makes the base images that the Dockerfiles name, for machines that cannot pull images: Debian 12 from the package
# mirror that this machine itself uses (debootstrap), imported under the base images' names. Needs root and a Docker
# engine. An image that is there already, or can be pulled, is left alone.
#
# Usage: docker/build_base.sh [python] [java] [prometheus]      (all when none is named)
set -eu

SUITE=bookworm
PYTHON_BASE=python:3.11-slim-bookworm
JAVA_BASE=eclipse-temurin:17-jre
PROMETHEUS_BASE=debian-prometheus:bookworm

# The first mirror in apt's sources that has the suite, in either of apt's two formats.
mirror() {
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] && awk -v suite="$SUITE" -v RS='' '
            { uri = ""; found = 0
              for (line = 1; line <= split($0, lines, "\n"); line++) {
                  count = split(lines[line], words, /[ \t]+/)
                  if (words[1] == "URIs:") uri = words[2]
                  if (words[1] == "Suites:") for (i = 2; i <= count; i++) if (words[i] == suite) found = 1
              }
              if (found && uri != "") { print uri; exit } }' "$file"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] && sed -n "s/^deb  *\(\[[^]]*\]  *\)\{0,1\}\([^ ]*\)  *$SUITE .*/\2/p" "$file"
    done
    return 0
}

# base TAG PACKAGES: an image of a minimal Debian with the packages.
base() {
    if docker image inspect "$1" >/dev/null 2>&1; then
        echo "$1 is there"
        return
    fi
    if timeout 60 docker pull --quiet "$1" 2>/dev/null; then
        return
    fi
    uri=$(mirror | head -n 1)
    if [ -z "$uri" ]; then
        echo "no package mirror for $SUITE in /etc/apt; add one, or pull $1 where a registry can be reached" >&2
        exit 1
    fi
    echo "building $1 from packages"
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    if ! debootstrap --variant=minbase --include="$2" "$SUITE" "$root/debian" "$uri" >"$root/log" 2>&1; then
        tail -n 20 "$root/log" >&2
        exit 1
    fi
    rm -rf "$root"/debian/var/cache/apt/archives/*.deb "$root"/debian/var/lib/apt/lists/*
    tar --directory "$root/debian" --create . | docker import - "$1" >/dev/null
    rm -rf "$root"
    trap - EXIT
}

for command in docker debootstrap; do
    command -v "$command" >/dev/null || { echo "$command is missing; install it with: apt-get install docker.io debootstrap" >&2; exit 1; }
done
for name in ${*:-python java prometheus}; do
    case $name in
        python) base "$PYTHON_BASE" python3,python3-venv,ca-certificates ;;
        java) base "$JAVA_BASE" openjdk-17-jre-headless,ca-certificates ;;
        prometheus) base "$PROMETHEUS_BASE" prometheus ;;
        *) echo "got $name; expected python, java or prometheus" >&2; exit 2 ;;
    esac
done
