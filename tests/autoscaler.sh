#!/bin/bash
# archway autoscaler: what lint says, what config writes and lint reads back, and what simulate then does with it.
#     tests/autoscaler.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
folder=$(mktemp -d /tmp/archway-autoscaler-XXXXXX)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >pods.yaml <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{key: arch, value: arm64, effect: NoSchedule}]
      containers: [{name: c, image: web:1, resources: {requests: {cpu: "1", memory: 2Gi}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: legacy, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: legacy}}
  template:
    metadata: {labels: {app: legacy}}
    spec:
      containers: [{name: c, image: legacy:1, resources: {requests: {cpu: "1", memory: 2Gi}}}]
END
echo '{"web:1": {"platforms": ["linux/amd64", "linux/arm64"]}, "legacy:1": {"platforms": ["linux/amd64"]}}' >images.json

# What config writes, lint reads without a finding, each file by itself and all together.
for target in eks asg karpenter; do
  says "config for $target" 0 "" "$archway" autoscaler config --for $target --cluster shop --arm64 arm=m7g.xlarge --amd64 x86=m7i.xlarge -o out-$target
  says "lint of what was written for $target" 0 "nothing found" "$archway" autoscaler lint out-$target
  for file in out-$target/*.yaml out-$target/*.json; do
    case $file in *\*.json) continue ;; esac
    says "lint of $file" 0 "nothing found" "$archway" autoscaler lint "$file"
  done
  "$archway" autoscaler config --for $target --cluster shop --arm64 arm=m7g.xlarge --amd64 x86=m7i.xlarge -o again-$target >/dev/null
  check "config for $target is the same each time" diff -r out-$target again-$target
done
check "config to standard output" sh -c '"$0" autoscaler config --for karpenter --arm64 arm --amd64 x86 | grep -q "kind: NodePool"' "$archway"

# And the simulator shows the effect: who tolerates arm64 gets it, the others do not.
says "arm64 first, eksctl" 0 "arm grows from 0 to 2" "$archway" autoscaler simulate out-eks -f pods.yaml --expander priority --images images.json
says "amd64 for the rest" 0 "x86 grows from 0 to 1" "$archway" autoscaler simulate out-eks -f pods.yaml --expander priority --images images.json
says "Karpenter starts both kinds" 0 "m7g.xlarge" "$archway" autoscaler simulate out-karpenter -f pods.yaml --region us-east-1 --images images.json
"$archway" autoscaler simulate out-eks -f pods.yaml --expander random --seed 7 --json >first
"$archway" autoscaler simulate out-eks -f pods.yaml --expander random --seed 7 --json >second
check "chance is the same with the same seed" cmp first second
says "price is refused for AWS" 2 "has no prices for AWS" "$archway" autoscaler simulate out-eks -f pods.yaml --expander price
says "random ends a chain" 2 "comes after random" "$archway" autoscaler simulate out-eks -f pods.yaml --expander random,priority

# Without the taint the cheaper machines attract everything, and images for amd64 alone fail there.
sed '/taints:/,/effect/d' out-karpenter/arm-nodepool.yaml >untainted.yaml
says "an untainted arm64 pool breaks the others" 1 "exec format error" "$archway" autoscaler simulate untainted.yaml -f pods.yaml --images images.json

# Lint: each file has one thing wrong.
asg() { printf '{"AutoScalingGroups": [{"AutoScalingGroupName": "arm-1a", "MinSize": 0, "MaxSize": 5, "DesiredCapacity": 0, "AvailabilityZones": ["us-east-1a"],\n"MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [%s]}},\n"Tags": [%s]}]}\n' "$1" "$2"; }
template=k8s.io/cluster-autoscaler/node-template
asg '{"InstanceType": "m7g.large"}, {"InstanceType": "m6i.large"}' '' >mixed.json
says "mixed architectures" 1 "mixed-architectures" "$archway" autoscaler lint mixed.json
asg '{"InstanceType": "m7g.large"}' "{\"Key\": \"$template/taint/arch\", \"Value\": \"NoSchedule\"}" >taint.json
says "a taint without a colon" 1 "taint.json:3: error" "$archway" autoscaler lint taint.json
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cluster-autoscaler-priority-expander\n  namespace: kube-system\ndata:\n  priorities: |-\n    10:\n      - "*arm*"\n' >glob.yaml
says "a shell pattern" 1 "glob.yaml:9: error" "$archway" autoscaler lint glob.yaml
says "JSON" 1 '"rule": "pattern-invalid"' "$archway" autoscaler lint glob.yaml --json
says "nothing to lint" 2 "nothing in images.json" "$archway" autoscaler lint images.json
says "no such file" 2 "none.yaml" "$archway" autoscaler lint none.yaml
printf 'a: [\n' >broken.yaml
says "a broken file" 2 "broken.yaml" "$archway" autoscaler lint broken.yaml

# A trace, in both forms.
printf 'kind: NodeGroups\nnodeGroups:\n- {name: g, max: 5, cpu: 4, memory: 16Gi, price: "0.36"}\n' >groups.yaml
printf 'kind: Trace\ntemplates: {web: {spec: {containers: [{name: c, image: i, resources: {requests: {cpu: "1"}}}]}}}\narrivals: [{at: 5, template: web, pods: 8, for: 1h}]\n' >trace.yaml
says "a trace of our own" 0 '$0.86 in 1:11:40' "$archway" autoscaler simulate groups.yaml --trace trace.yaml
printf 'name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\na,1000,1024,0,0,,LS,Running,100,3700,100\nb,64000,1024,0,0,,LS,Running,100,3700,100\n' >openb.csv
says "openb's trace" 1 "1 of 2 pods were placed" "$archway" autoscaler simulate groups.yaml --trace openb.csv
sed 's/1000/x/' openb.csv >bad.csv
says "a trace with a bad row" 2 'bad.csv: line 2' "$archway" autoscaler simulate groups.yaml --trace bad.csv
finish
