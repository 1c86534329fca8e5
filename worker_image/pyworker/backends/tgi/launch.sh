#!/bin/sh
# Start TGI for this worker: on loopback only, since clients come through pyworker, and with a log that can be read.
# MODEL_ID names the model; TGI_ARGS holds further arguments, split at blanks.
set -eu
: "${MODEL_ID:?MODEL_ID is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:5001}
port=${port##*:}
# shellcheck disable=SC2086 # TGI_ARGS is meant to be split
exec text-generation-launcher --model-id "$MODEL_ID" --hostname 127.0.0.1 --port "${port%%/*}" --json-output ${TGI_ARGS:-}
