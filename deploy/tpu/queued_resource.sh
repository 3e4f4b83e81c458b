#!/bin/sh
# A TPU slice by queued resources (https://cloud.google.com/tpu/docs/queued-resources), and a training on all of its hosts.
#
#   PROJECT=my-project ZONE=us-central2-b BUCKET=gs://my-bucket deploy/tpu/queued_resource.sh
#
# The hosts of a slice find each other; nothing but the same command is started on each. Spot slices may be taken away: the
# command has saved by then, and the same script goes on.
set -eu
: "${PROJECT:?}" "${ZONE:?}" "${BUCKET:?}"
NAME=${NAME:-resnet50}
TYPE=${TYPE:-v4-32}
VERSION=${VERSION:-tpu-ubuntu2204-base}
REPOSITORY=${REPOSITORY:?the address of this repository, as git clone takes it}

gcloud compute tpus queued-resources create "$NAME" --project="$PROJECT" --zone="$ZONE" --node-id="$NAME" \
    --accelerator-type="$TYPE" --runtime-version="$VERSION" --spot

until [ "$(gcloud compute tpus queued-resources describe "$NAME" --project="$PROJECT" --zone="$ZONE" \
    --format='value(state.state)')" = ACTIVE ]; do
    sleep 60
done

# The bucket as a folder that all hosts see (gcsfuse), since a workdir is one.
gcloud compute tpus tpu-vm ssh "$NAME" --project="$PROJECT" --zone="$ZONE" --worker=all --command="
    mkdir -p ~/shared && (mountpoint -q ~/shared || gcsfuse --implicit-dirs ${BUCKET#gs://} ~/shared)
    [ -d ~/dl-canon ] || git clone $REPOSITORY ~/dl-canon
    cd ~/dl-canon && ./dev install tpu
    .venv/bin/python -m experiments.train --config=configs/imagenet_resnet50.py --workdir=\$HOME/shared/runs/resnet50 \
        --manual_dir=\$HOME/shared/archives --config.dtype=bfloat16
"
