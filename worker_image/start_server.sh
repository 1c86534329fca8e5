#!/bin/sh
# The container's entry, and what an `onstart` of the marketplace calls where it replaces the entry point.
# pyworker checks the environment, starts the inference server and reports; here is only what must be so before it runs.
# What goes wrong here is handed to it as HEADGATE_LAUNCH_PROBLEM, so that it is reported instead of ending the container in silence.
set -u

home=${HEADGATE_HOME:-/opt/headgate}
workspace=${WORKSPACE_DIR:-/workspace}

if ! { mkdir -p "$workspace" && cd "$workspace" && [ -w . ]; }; then
  export HEADGATE_LAUNCH_PROBLEM="WORKSPACE_DIR is $workspace, which cannot be made, entered or written to"
  cd /tmp || exit 1
fi
umask 027
ulimit -c 0                           # a core dump of a model fills the rented disk
ulimit -n 65536 2>/dev/null || true   # two sockets a request

exec "$home/venv/bin/python" -I -m pyworker
