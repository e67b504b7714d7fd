#!/usr/bin/env bash
# Train the released encoder anew: B to F of docs/experiments.md, and G, the mean of their weights.
#
#   bash hub/train.sh <HAM10000> <ISIC 2017> <folder for the runs>
#
# Nearly six hours on two CPU cores. Of ISIC 2017 only the pictures are used, no label. What is
# there already is not trained again.
set -euo pipefail

source=${1:?name HAM10000: a Hub id or a folder}
unlabelled=${2:?name ISIC 2017: a folder}
runs=${3:?name a folder for the runs}

train() {
  local name=$1
  shift
  [ -e "$runs/$name/checkpoint" ] ||
    accelerate launch train_accelerate.py --preset supcon --data "$source" --split validation \
      --no-corruptions --output "$runs/$name" "$@"
}

# Larger pictures, lesions of any scale and aspect, no cooling down of the augmentation.
larger=(--encoder.image-size 128 --encoder.test-image-size 144 --encoder.drop-rate 0.3
  --augment.min-scale 0.25 --augment.max-scale 1.3 --augment.max-aspect 1.5
  --augment.brightness 0.1 --augment.contrast 0.25 --augment.saturation 0.25 --augment.cooldown 0)
mixed=(--augment.mixup 0.4 --augment.cutmix 1.0 --augment.marks 0.2 --loss.label-smoothing 0)
begun=(--encoder.start "$runs/B/checkpoint")
pictures=(--unlabelled "$unlabelled")

train B
train C "${begun[@]}" "${larger[@]}" "${pictures[@]}" --encoder.color-constancy \
  --loss.label-smoothing 0.1 --optim.epochs 14 --optim.learning-rate 1e-3 --optim.weight-decay 0.1
train D "${begun[@]}" "${larger[@]}" "${mixed[@]}" --encoder.color-constancy \
  --optim.epochs 20 --optim.learning-rate 1.5e-3 --optim.weight-decay 0.1
train E "${begun[@]}" "${larger[@]}" "${mixed[@]}" "${pictures[@]}" \
  --teacher "$runs"/{B,D}/checkpoint --optim.epochs 8 --optim.learning-rate 1.2e-3 \
  --optim.weight-decay 0.1
train F "${begun[@]}" "${larger[@]}" "${mixed[@]}" "${pictures[@]}" \
  --teacher "$runs"/{B,D,E}/checkpoint --optim.epochs 8 --optim.learning-rate 5e-4 \
  --loss.cross-entropy-weight 0.5 --loss.distillation-weight 2

dermsim ensemble --average --test-image-size 160 "$runs"/{E,B,C,D,F}/checkpoint \
  --data "$source" --output "$runs/G"
