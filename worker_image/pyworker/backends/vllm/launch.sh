#!/bin/sh
# Start vLLM for this worker, on loopback only. MODEL_ID names the model, MODEL_NAME what clients call it (the same unless set);
# VLLM_ARGS holds further arguments, split at blanks; HEADGATE_SLOTS is how many requests run at a time.
set -eu
: "${MODEL_ID:?MODEL_ID is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:5001}
port=${port##*:}
slots=${HEADGATE_SLOTS:-}
# shellcheck disable=SC2086 # VLLM_ARGS is meant to be split
exec vllm serve "$MODEL_ID" --served-model-name "${MODEL_NAME:-$MODEL_ID}" --host 127.0.0.1 --port "${port%%/*}" \
  ${slots:+--max-num-seqs "$slots"} ${VLLM_ARGS:-}
