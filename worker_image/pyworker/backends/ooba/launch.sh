#!/bin/sh
# Start oobabooga for this worker: its API alone, on loopback (which is its default). OOBA_DIR is where it is installed, MODEL_ID a folder
# or file of its models; OOBA_API is the API's generation, `openai` or `blocking`; OOBA_PYTHON the interpreter that has its packages;
# OOBA_ARGS holds further arguments, split at blanks.
set -eu
: "${MODEL_ID:?MODEL_ID is not set}" "${OOBA_DIR:?OOBA_DIR is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:5001}
port=${port##*:}
export COLUMNS=400
cd "$OOBA_DIR"
case ${OOBA_API:-openai} in
  blocking) set -- --api --api-blocking-port "${port%%/*}" ;;
  *) set -- --api --nowebui --api-port "${port%%/*}" ;;
esac
# shellcheck disable=SC2086 # OOBA_ARGS is meant to be split
exec "${OOBA_PYTHON:-python3}" server.py --model "$MODEL_ID" "$@" ${OOBA_ARGS:-}
