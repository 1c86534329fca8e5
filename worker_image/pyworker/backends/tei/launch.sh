#!/bin/sh
# Start TEI for this worker, on loopback only. MODEL_ID names the model; TEI_ARGS holds further arguments, split at blanks; HF_TOKEN
# opens gated models (TEI reads it itself).
set -eu
: "${MODEL_ID:?MODEL_ID is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:5001}
port=${port##*:}
# shellcheck disable=SC2086 # TEI_ARGS is meant to be split
exec text-embeddings-router --model-id "$MODEL_ID" --hostname 127.0.0.1 --port "${port%%/*}" ${TEI_ARGS:-}
