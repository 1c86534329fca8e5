#!/bin/sh
# Start SGLang for this worker, on loopback only, with its metrics page. MODEL_ID names the model, MODEL_NAME what clients call it (the
# same unless set); SGLANG_ARGS holds further arguments, split at blanks; HEADGATE_SLOTS is how many requests run at a time;
# SGLANG_API_KEY is a key that the server itself asks for.
set -eu
: "${MODEL_ID:?MODEL_ID is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:5001}
port=${port##*:}
slots=${HEADGATE_SLOTS:-}
key=${SGLANG_API_KEY:-}
# shellcheck disable=SC2086 # SGLANG_ARGS is meant to be split
exec python3 -m sglang.launch_server --model-path "$MODEL_ID" --served-model-name "${MODEL_NAME:-$MODEL_ID}" \
  --host 127.0.0.1 --port "${port%%/*}" --enable-metrics ${slots:+--max-running-requests "$slots"} ${key:+--api-key "$key"} ${SGLANG_ARGS:-}
