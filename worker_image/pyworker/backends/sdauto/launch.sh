#!/bin/sh
# Start AUTOMATIC1111's API without its page, on loopback only, with a line a request in its log. SDAUTO_DIR is where it is installed;
# SDAUTO_PYTHON the interpreter that has its packages; SDAUTO_ARGS holds further arguments, split at blanks.
set -eu
: "${SDAUTO_DIR:?SDAUTO_DIR is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:5001}
port=${port##*:}
cd "$SDAUTO_DIR"
# shellcheck disable=SC2086 # SDAUTO_ARGS is meant to be split
exec "${SDAUTO_PYTHON:-python3}" launch.py --nowebui --api --api-log --port "${port%%/*}" --skip-prepare-environment ${SDAUTO_ARGS:-}
