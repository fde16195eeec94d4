#!/bin/bash
# archway plan: the bill before and after, what is in the way, and patches that kubectl would take.
#     tests/plan.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
folder=$(mktemp -d /tmp/archway-plan-XXXXXX)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

node() { # NAME TYPE REGION
  printf '{kind: Node, metadata: {name: %s, labels: {kubernetes.io/arch: amd64, kubernetes.io/os: linux, kubernetes.io/hostname: %s, node.kubernetes.io/instance-type: %s, topology.kubernetes.io/region: %s}}, status: {allocatable: {cpu: 3920m, memory: 14Gi, pods: "58"}}}\n---\n' "$1" "$1" "$2" "$3"
}
deployment() { # NAME IMAGE NODE...
  local name=$1 image=$2 i=0; shift 2
  local spec="containers: [{name: c, image: '$image', resources: {requests: {cpu: 1500m, memory: 1Gi}}}]"
  printf '{kind: Deployment, apiVersion: apps/v1, metadata: {name: %s, namespace: s}, spec: {selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {%s}}}}\n---\n' "$name" "$name" "$name" "$spec"
  for node in "$@"; do
    printf '{kind: Pod, metadata: {name: %s-h-%s, namespace: s, labels: {app: %s, pod-template-hash: h}, ownerReferences: [{kind: ReplicaSet, apiVersion: apps/v1, name: %s-h, uid: u, controller: true}]}, spec: {nodeName: %s, %s}}\n---\n' "$name" $((i++)) "$name" "$name" "$node" "$spec"
  done
}
{ node n1 m6i.xlarge us-east-1; node n2 m6i.xlarge us-east-1; deployment web web:1 n1 n1 n2; deployment old old:1 n2; } >aws.yaml
{ node n1 e2-standard-4 us-central1; deployment web web:1 n1 n1; } >gcp.yaml
{ node n1 z99.huge us-east-1; deployment web web:1 n1; } >odd.yaml
echo '{"web:1": {"platforms": ["linux/amd64", "linux/arm64"]}, "old:1": {"platforms": ["linux/amd64"]}}' >images.json
plan() { "$archway" plan --images images.json "$@"; }

# Two m6i.xlarge are 280.32 $; three pods need two m7g.xlarge, 238.27 $, and old stays on an m6i.xlarge, 140.16 $: dearer while old is in the way.
says "a saving that is none" 1 'moving costs $98.11 a month more' plan aws.yaml --type m7g.xlarge
says "and what would make it one" 1 'images in the way hold back another $140.16 a month' plan aws.yaml --type m7g.xlarge
says "the image in the way" 1 'image old:1: nothing for linux/arm64' plan aws.yaml --type m7g.xlarge
echo '{"web:1": {"platforms": ["linux/amd64", "linux/arm64"]}, "old:1": {"platforms": ["linux/amd64", "linux/arm64"]}}' >both.json
says "all move" 0 'saves $42.05 a month (15.0 %)' "$archway" plan --images both.json aws.yaml --type m7g.xlarge
says "Arm is dearer there" 1 'arm64 is dearer here: moving costs $14.58 a month more' plan gcp.yaml
says "unknown prices are named" 1 'no known price: aws us-east-1 z99.huge (1 node)' plan odd.yaml
says "and no saving is claimed" 1 "what it saves cannot be told" plan odd.yaml
printf 'cloud,region,instance_type,usd_per_hour_on_demand\naws,us-east-1,z99.huge,3\n' >prices.csv
says "prices of one's own" 0 '$2,190.00' plan odd.yaml --prices prices.csv
sed 's/,3$/,cheap/' prices.csv >bad.csv
says "a bad price list" 2 'bad.csv: line 2' plan odd.yaml --prices bad.csv
says "an unknown type" 2 'nope' plan aws.yaml --type nope
says "no cluster" 2 'the cluster has no nodes' plan images.json
if command -v python3 >/dev/null; then
  "$archway" plan --images both.json aws.yaml --type m7g.xlarge --json >plan.json
  equal "steps in order" "taint tolerations priority move remove" "$(python3 -c 'import json; print(*[s["step"] for s in json.load(open("plan.json"))["steps"]])')"
  equal "each step begins where the last one ended" True "$(python3 -c 'import json; s=json.load(open("plan.json"))["steps"]; print(all(a["usdPerMonthAfter"] == b["usdPerMonthBefore"] for a, b in zip(s, s[1:])))')"
  "$archway" plan --images both.json aws.yaml --type m7g.xlarge --json >again.json
  check "the same each time" cmp plan.json again.json
else
  echo "not tried: JSON (python3 is absent)"
fi
finish
