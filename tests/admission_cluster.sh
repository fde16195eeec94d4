#!/usr/bin/env bash
# The webhook in front of a real API server: installed by `admission manifests`, with its own certificate, with pods placed by the real
# scheduler on nodes that are only objects. $KUBEBUILDER_ASSETS names a folder with etcd and kube-apiserver (and kube-scheduler).
set -uo pipefail
archway=$1
folder=$(mktemp -d /tmp/archway-cluster-XXXXXX)
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/control_plane.sh"

hook_port=$(free_port)
start_etcd
start_api
api_is_up

# What the manifests ask for is what the API server takes, and nothing is left of it.
"$archway" admission manifests --json --owners --on-unknown gate --pull-secrets --read-logs >"$folder/all.json"
# policy/v1 is of 1.21
k api-versions | grep -qx policy/v1 || sed -i 's|"apiVersion": "policy/v1"|"apiVersion": "policy/v1beta1"|' "$folder/all.json"
check "the API server takes the manifests" k apply --validate=false -f "$folder/all.json"
may() { k auth can-i --as system:serviceaccount:archway-system:archway-admission "$@" | head -n 1; }
equal "it may watch pods" yes "$(may watch pods -A)"
equal "it may not create pods" no "$(may create pods -A)"
equal "it may read its own Secret" yes "$(may get secret/archway-admission-tls -n archway-system)"
equal "it may renew its Lease" yes "$(may update lease/archway-admission -n archway-system)"
equal "it may not change the webhooks of others" no "$(may patch mutatingwebhookconfiguration/other)"
"$archway" admission manifests --delete --json --owners --on-unknown gate --pull-secrets --read-logs >"$folder/delete.json"
k api-versions | grep -qx policy/v1 || sed -i 's|"apiVersion": "policy/v1"|"apiVersion": "policy/v1beta1"|' "$folder/delete.json"
check "they can be deleted" k delete --ignore-not-found --wait=false -f "$folder/delete.json"
equal "nothing of the cluster is left" "" "$(k get clusterroles,clusterrolebindings,mutatingwebhookconfigurations -l app.kubernetes.io/part-of=archway -o name)"

alive
# A webhook beside the cluster, which makes its own certificate.
cat >"$folder/images.json" <<'IMAGES'
{"example.org/amd:1": {"platforms": ["linux/amd64"]}, "example.org/arm:1": {"platforms": ["linux/arm64"]},
 "example.org/both:1": {"platforms": ["linux/amd64", "linux/arm64"]}}
IMAGES
k create namespace hooks >/dev/null
"$archway" admission manifests --url "https://127.0.0.1:$hook_port/mutate" --owners >"$folder/hook.yaml"
check "the API server takes the webhook outside" k apply --validate=false -f "$folder/hook.yaml"
start_hook() {
  start hook "$archway" admission serve --listen "127.0.0.1:$hook_port" --tls-cert-file "$folder/tls/tls.crt" --tls-private-key-file "$folder/tls/tls.key" \
    --kubeconfig "$folder/kubeconfig" --namespace hooks --own-certificate --certificate-name 127.0.0.1 --controllers --images "$folder/images.json" \
    --tolerate arch=arm64:NoSchedule --offline --cache none
  hook=$started
}
start_hook
ready() { curl -sS --noproxy '*' --cacert <(k get secret archway-admission-tls -n hooks -o 'jsonpath={.data.ca\.crt}' | base64 -d) "https://127.0.0.1:$hook_port/readyz"; }
check "it makes a certificate and answers" within 40 ready
bundle() { k get mutatingwebhookconfiguration archway-admission -o "jsonpath={.webhooks[$1].clientConfig.caBundle}"; }
has_bundle() { [ -n "$(bundle 0)" ] && [ "$(bundle 0)" = "$(bundle 1)" ]; }
check "its authority is in the webhook configuration" within 20 has_bundle

alive
pod() { # NAME IMAGE [MORE]
  cat <<POD
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "$2"}]${3:-}}}
POD
}
values() { # POD: the architectures that it asks for
  k get pod "$1" -o 'jsonpath={.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[?(@.key=="kubernetes.io/arch")].values}'
}
constrained() { pod "probe-$RANDOM$RANDOM" example.org/amd:1 | k create --dry-run=server -o json -f - | grep -q kubernetes.io/arch; }
check "the API server calls it, on dry runs too" within 20 constrained
alive
for one in amd arm both; do pod $one example.org/$one:1 | k create -f - >/dev/null; done
pod unknown example.org/unknown:1 | k create -f - >/dev/null
equal "a pod of amd64" '["amd64"]' "$(values amd)"
equal "a pod of arm64" '["arm64"]' "$(values arm)"
equal "a pod of both" '["amd64","arm64"]' "$(values both)"
equal "a pod of an image that nobody knows passes" "" "$(values unknown)"
tolerations() { k get pod "$1" -o 'jsonpath={.spec.tolerations[?(@.key=="arch")].value}'; }
equal "arm64's taint is tolerated where the image runs there" "arm64" "$(tolerations arm)"
equal "and only there" "" "$(tolerations amd)"

alive
k create deployment web --image example.org/arm:1 >/dev/null
template() { k get deployment web -o 'jsonpath={.spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[?(@.key=="kubernetes.io/arch")].values}'; }
equal "a Deployment's template" '["arm64"]' "$(template)"
before=$(k get deployment web -o 'jsonpath={.metadata.generation}')
k scale deployment web --replicas 3 >/dev/null
k label deployment web more=labels >/dev/null
equal "scaling is one new generation, of the scale alone" $((before + 1)) "$(k get deployment web -o 'jsonpath={.metadata.generation}')"

alive
if [ -x "$assets/kube-scheduler" ]; then
  for arch in amd64 arm64; do
    taint=""; [ $arch = arm64 ] && taint=', "spec": {"taints": [{"key": "arch", "value": "arm64", "effect": "NoSchedule"}]}'
    echo '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-'$arch'", "labels": {"kubernetes.io/arch": "'$arch'", "kubernetes.io/os": "linux"}}'"$taint"'}' | k create -f - >/dev/null
    k get node node-$arch -o json | python3 -c '
import json, sys
node = json.load(sys.stdin)
node["status"] = {"capacity": {"cpu": "4", "memory": "8Gi", "pods": "50"}, "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "50"},
                  "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastHeartbeatTime": None, "lastTransitionTime": None}]}
print(json.dumps(node))' | k replace --raw /api/v1/nodes/node-$arch/status -f - >/dev/null
  done
  start scheduler "$assets/kube-scheduler" --kubeconfig "$folder/kubeconfig" --authentication-kubeconfig "$folder/kubeconfig" --authorization-kubeconfig "$folder/kubeconfig" \
    --leader-elect=false --bind-address 127.0.0.1 --secure-port "$(free_port)"
  placed() { [ -n "$(k get pod "$1" -o 'jsonpath={.spec.nodeName}')" ]; }
  alive
  for one in amd arm both unknown; do check "$one is scheduled" within 30 placed $one; done
  equal "amd64 lands on amd64" node-amd64 "$(k get pod amd -o 'jsonpath={.spec.nodeName}')"
  equal "arm64 lands on arm64, behind its taint" node-arm64 "$(k get pod arm -o 'jsonpath={.spec.nodeName}')"
fi

alive
# What must never be in the way: a webhook that is gone, one whose certificate is gone, an API server that starts again.
end "$hook" -KILL
check "without the webhook pods pass" k create -f <(pod alone example.org/amd:1)
equal "as they are" "" "$(values alone)"
old=$(k get secret archway-admission-tls -n hooks -o 'jsonpath={.data.tls\.crt}')
k patch secret archway-admission-tls -n hooks --type json -p '[{"op": "remove", "path": "/data"}]' >/dev/null
rm -rf "$folder/tls"
start_hook
check "another makes a new certificate, when the Lease of the killed one has run out" within 60 ready
check "a new one" test "$old" != "$(k get secret archway-admission-tls -n hooks -o 'jsonpath={.data.tls\.crt}')"
check "and is called" within 20 constrained
end "$api"
start_api
check "the API server comes back" within 60 k get --raw /readyz
check "and calls it again" within 30 constrained
check "the webhook has not ended meanwhile" kill -0 "$hook"

alive
# A crash is seen, told and counted.
k get pod arm -o json | python3 -c '
import json, sys
pod = json.load(sys.stdin)
pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "c", "image": "example.org/arm:1", "imageID": "", "ready": False, "restartCount": 1, "lastState": {},
                 "state": {"waiting": {"reason": "RunContainerError", "message": "exec: \"/app\": exec format error: unknown"}}}]}
print(json.dumps(pod))' | k replace --raw /api/v1/namespaces/default/pods/arm/status -f - >/dev/null
told() { k get events -o 'jsonpath={range .items[*]}{.reason} {.message}{"\n"}{end}' | grep -q '^ExecFormatError image example.org/arm:1'; }
check "an exec format error becomes an Event" within 60 told
counted() { curl -sS --noproxy '*' -k "https://127.0.0.1:$hook_port/metrics" | grep -q 'archway_admission_crashes_total{kind="exec-format-error"} 1'; }
check "and is counted" within 10 counted

alive
end "$hook"
equal "the Lease is given away at the end" "" "$(k get lease archway-admission -n hooks -o 'jsonpath={.spec.holderIdentity}')"
"$archway" admission manifests --url "https://127.0.0.1:$hook_port/mutate" --owners --delete | k delete -f - >/dev/null
equal "uninstalled, no webhook is left" "" "$(k get mutatingwebhookconfigurations -o name)"
alive
finish
