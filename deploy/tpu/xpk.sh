#!/bin/sh
# A training on TPU slices of a GKE cluster by xpk (https://github.com/AI-Hypercomputer/xpk).
#
#   PROJECT=my-project ZONE=us-central2-b IMAGE=gcr.io/my-project/dl-canon deploy/tpu/xpk.sh
#
# The image is that of deploy/Dockerfile with EXTRA=tpu. The command must leave with its exit code: 75, after a SIGTERM, is
# started again as often as --max-restarts says, and goes on from its last checkpoint.
set -eu
: "${PROJECT:?}" "${ZONE:?}" "${IMAGE:?}"
CLUSTER=${CLUSTER:-dl-canon}
TYPE=${TYPE:-v4-32}

xpk cluster create --project="$PROJECT" --zone="$ZONE" --cluster="$CLUSTER" --tpu-type="$TYPE" --num-slices=1 --spot

xpk workload create --project="$PROJECT" --zone="$ZONE" --cluster="$CLUSTER" --workload=resnet50 --tpu-type="$TYPE" \
    --num-slices=1 --docker-image="$IMAGE" --max-restarts=20 --restart-on-exit-codes=75 \
    --command="python -m experiments.train --config=configs/imagenet_resnet50.py --workdir=/shared/runs/resnet50 \
--manual_dir=/shared/archives --config.dtype=bfloat16"
