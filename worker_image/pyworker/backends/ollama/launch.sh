#!/bin/sh
# Start Ollama for this worker, on loopback only, and have it download and load MODEL_ID before the first request. OLLAMA_PULL=no skips
# the download, for a model that the image holds. Ollama reads its own variables, such as OLLAMA_NUM_PARALLEL, OLLAMA_CONTEXT_LENGTH.
set -eu
: "${MODEL_ID:?MODEL_ID is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:11434}
port=${port##*:}
export OLLAMA_HOST="127.0.0.1:${port%%/*}" OLLAMA_KEEP_ALIVE="${OLLAMA_KEEP_ALIVE:--1}"
export OLLAMA_NUM_PARALLEL="${HEADGATE_SLOTS:-${OLLAMA_NUM_PARALLEL:-1}}"
ollama serve &
server=$!
trap 'kill "$server" 2>/dev/null' TERM INT
until ollama list >/dev/null 2>&1; do
  kill -0 "$server" 2>/dev/null || { wait "$server"; exit 1; }
  sleep 1
done
if [ "${OLLAMA_PULL:-yes}" != no ] && ! ollama pull "$MODEL_ID"; then
  echo "headgate: the model $MODEL_ID could not be downloaded"
  kill "$server"
  exit 1
fi
wait "$server"
