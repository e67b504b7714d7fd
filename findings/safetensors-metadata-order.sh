#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors with the same metadata, saved again, are other bytes. The
# order of the metadata's keys in the header changes from one call to the next, in one process and
# for one dictionary. A checksum of the file is therefore no name for what it holds, and a file that
# is saved and uploaded again without a change counts as a new one. With one key, or none, the
# bytes stay the same.
#
# Seen: 50 saves with four keys give 10 to 24 different files; with one key, one.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.0
"$scratch/venv/bin/python" - <<'PYTHON'
import hashlib

import numpy as np
import safetensors
from safetensors.numpy import save

tensors = {"x": np.zeros(3, dtype=np.float32)}
counts = {}
for keys in (1, 4):
    metadata = {name: "1" for name in "abcd"[:keys]}
    counts[keys] = len({hashlib.sha256(save(tensors, metadata)).digest() for _ in range(50)})
    print(f"safetensors {safetensors.__version__}, {keys} keys: {counts[keys]} different files of 50")
assert counts[1] == 1
assert counts[4] > 1, "the order is fixed now"
PYTHON
