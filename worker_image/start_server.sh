#!/bin/sh
# The container's entry, and what an `onstart` of the marketplace calls where it replaces the entry point.
# pyworker checks the environment, starts the inference server and reports; here is only what must be so before it runs.
set -eu

home=${HEADGATE_HOME:-/opt/headgate}
workspace=${WORKSPACE_DIR:-/workspace}

mkdir -p "$workspace"
cd "$workspace"
umask 027
ulimit -c 0                           # a core dump of a model fills the rented disk
ulimit -n 65536 2>/dev/null || true   # two sockets a request

exec "$home/venv/bin/python" -I -m pyworker
