#!/bin/sh
# Start ComfyUI for this worker, on loopback only. COMFYUI_DIR is where it is installed; COMFYUI_PYTHON the interpreter that has its
# packages; COMFYUI_ARGS holds further arguments, split at blanks.
set -eu
: "${COMFYUI_DIR:?COMFYUI_DIR is not set}"
port=${MODEL_SERVER_URL:-http://127.0.0.1:8188}
port=${port##*:}
cd "$COMFYUI_DIR"
# shellcheck disable=SC2086 # COMFYUI_ARGS is meant to be split
exec "${COMFYUI_PYTHON:-python3}" main.py --listen 127.0.0.1 --port "${port%%/*}" ${COMFYUI_ARGS:-}
