#!/bin/sh
# Start llama-server for this worker, on loopback only, with its metrics page. MODEL_ID is a GGUF file, else a repository on the hub
# (`owner/name:quantization`); LLAMA_SERVER names the program; LLAMACPP_ARGS holds further arguments, split at blanks; HEADGATE_SLOTS
# is how many requests run at a time. llama-server itself reads its key from LLAMA_API_KEY.
set -eu
: "${MODEL_ID:?MODEL_ID is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:5001}
port=${port##*:}
case $MODEL_ID in
  *.gguf | /* | ./*) source=--model ;;
  *) source=--hf-repo ;;
esac
# shellcheck disable=SC2086 # LLAMACPP_ARGS is meant to be split
exec "${LLAMA_SERVER:-llama-server}" "$source" "$MODEL_ID" --host 127.0.0.1 --port "${port%%/*}" \
  --parallel "${HEADGATE_SLOTS:-4}" --metrics ${LLAMACPP_ARGS:-}
