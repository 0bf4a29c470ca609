#!/usr/bin/env bash
# Makes the store in models/demo from the demo model's checkpoint: ckpt-0/, config.json and tokenizer.model, as export.py
# writes them. The model card beside the store stays.
# usage: tools/demo-model/import.sh CHECKPOINT_DIR
set -euo pipefail
checkpoint=${1:?usage: tools/demo-model/import.sh CHECKPOINT_DIR}
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
demo=$root/models/demo
# Beside the target, so that moving is renaming.
work=$(mktemp -d "$root/models/.demo-XXXXXX")
trap 'rm -rf "$work"' EXIT

"$root/grok1" import "$checkpoint" "$work/demo"
"$root/grok1" verify "$work/demo"
mkdir -p "$demo"
for part in manifest.json dense.bin tokenizer.model experts; do
  rm -rf "${demo:?}/$part"
  mv "$work/demo/$part" "$demo/$part"
done
echo "models/demo is made from $checkpoint"
