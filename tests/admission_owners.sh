#!/usr/bin/env bash
# What makes pods, and what is odd in them, on a real API server: owners whose templates are left alone by what does not concern them, what kubectl
# says of the difference, sidecars, image volumes, ephemeral containers, refusals and their Events, an installation that leaves nothing.
# $KUBEBUILDER_ASSETS as in control_plane.sh.
set -uo pipefail
archway=$(realpath "$1")
folder=$(mktemp -d /tmp/archway-owners-XXXXXX)
trap 'rm -rf "$folder"' EXIT
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/control_plane.sh"
start_etcd
start_api
api_is_up
minor=$(k version -o json | python3 -c 'import json, re, sys; print(re.match(r"\d*", json.load(sys.stdin)["serverVersion"]["minor"]).group())')
# One that was built without its version: what it serves tells enough.
[ "${minor:-0}" -gt 0 ] || { minor=20; k api-versions | grep -qx policy/v1 && minor=21; }

# What there is of all kinds, before and after; Events and what the server keeps for itself apart.
inventory() {
  local kind
  for kind in $(k api-resources --verbs=list -o name | grep -vE '^(events|leases\.coordination|apiservices|endpointslices|.*\.metrics)' | sort); do k get "$kind" -A -o name --ignore-not-found 2>/dev/null | sort; done
  k get leases -A -o name | grep archway
}
settled() { k get clusterrole system:node-proxier && k get priorityclass system-node-critical && k get namespace kube-public; }
within 40 settled >/dev/null
inventory >"$folder/before"
install() { "$archway" admission manifests --image example.org/archway:1 --kube-version 1.$minor --owners --pull-secrets --read-logs "$@"; }
install >"$folder/install.yaml"
check "the API server takes the manifests without a warning" bash -c "[ \"\$('$kubectl' --kubeconfig '$folder/kubeconfig' apply --validate=strict -f '$folder/install.yaml' 2>&1 >/dev/null)\" = '' ]"
k patch mutatingwebhookconfiguration archway-admission --type json -p '[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "'"$(base64 -w0 "$folder/api/apiserver.crt")"'"}]' >/dev/null
k apply -f "$folder/install.yaml" >/dev/null 2>&1
check "applied again, the authority stays" test -n "$(k get mutatingwebhookconfiguration archway-admission -o 'jsonpath={.webhooks[0].clientConfig.caBundle}')"
equal "and nothing else has changed" "" "$(k diff -f "$folder/install.yaml" 2>&1 | head -n 20)"
install --delete >"$folder/delete.yaml"
k delete --ignore-not-found --wait=false -f "$folder/delete.yaml" >/dev/null 2>&1
# Nobody empties the namespace here: that is a controller's work.
for kind in secrets leases serviceaccounts services deployments.apps poddisruptionbudgets.policy roles.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io; do
  equal "none of $kind is left" "" "$(k get "$kind" -n archway-system -o name 2>/dev/null)"
done
echo '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "archway-system"}, "spec": {"finalizers": []}}' | k replace --raw /api/v1/namespaces/archway-system/finalize -f - >/dev/null
inventory >"$folder/after"
equal "nothing at all is left" "" "$(diff "$folder/before" "$folder/after")"
if command -v helm >/dev/null; then
  k create namespace archway-system >/dev/null
  for switch in certManager.enabled=false owners.enabled=true,pullSecrets.enabled=true,readLogs.enabled=true; do
    helm template archway "$tests/../deploy/helm/archway-admission" --namespace archway-system --kube-version 1.$minor --set $switch >"$folder/chart.yaml"
    check "the API server takes the chart ($switch)" k apply --dry-run=server --validate=strict -f "$folder/chart.yaml"
  done
  k delete namespace archway-system --wait=false >/dev/null
fi
alive

cat >"$folder/images.json" <<'IMAGES'
{"example.org/amd:1": {"platforms": ["linux/amd64"]}, "example.org/arm:1": {"platforms": ["linux/arm64"]}, "example.org/arm:2": {"platforms": ["linux/arm64"]},
 "example.org/both:1": {"platforms": ["linux/amd64", "linux/arm64"]}, "example.org/data:1": {"platforms": []}}
IMAGES
hook_port=$(free_port)
k create namespace hooks >/dev/null
"$archway" admission manifests --url "https://127.0.0.1:$hook_port/mutate" --owners --kube-version 1.$minor | k apply -f - >/dev/null
start_hook() { # [FLAGS...]
  start hook "$archway" admission serve --listen "127.0.0.1:$hook_port" --tls-cert-file "$folder/tls/tls.crt" --tls-private-key-file "$folder/tls/tls.key" \
    --kubeconfig "$folder/kubeconfig" --namespace hooks --own-certificate --certificate-name 127.0.0.1 --controllers --images "$folder/images.json" --offline --cache none \
    --tolerate arch=arm64:NoSchedule "$@"
  hook=$started
}
start_hook
asks() { pod "probe-$RANDOM$RANDOM" example.org/amd:1 | k create --dry-run=server -o json -f - | grep -q kubernetes.io/arch; }
pod() { # NAME IMAGE [MORE OF THE SPEC]
  echo '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "'"$1"'", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "'"$2"'"}]'"${3:-}"'}}'
}
check "the API server calls the webhook" within 40 asks
reviews() { curl -sS --noproxy '*' -k "https://127.0.0.1:$hook_port/metrics" | awk '/^archway_admission_reviews_total/ {sum += $2} END {print sum}'; }
alive

# Owners.
arm=', "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]}}}'
owner() { # KIND IMAGE [MORE OF THE POD'S SPEC]
  local pod='"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "'$2'"}]'${3:-}
  local selector='"selector": {"matchLabels": {"app": "a"}}'
  case $1 in
    Deployment) echo '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "own"}, "spec": {"replicas": 1, '"$selector"', "template": {'"$pod"'}}}}' ;;
    StatefulSet) echo '{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "own"}, "spec": {"serviceName": "own", '"$selector"', "template": {'"$pod"'}}}}' ;;
    DaemonSet) echo '{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "own"}, "spec": {'"$selector"', "template": {'"$pod"'}}}}' ;;
    Job) echo '{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "own"}, "spec": {'"$([ "$minor" -ge 22 ] && echo '"suspend": true,')"' "template": {'"$pod"', "restartPolicy": "Never"}}}}' ;;
    CronJob) echo '{"apiVersion": "batch/v1'"$([ "$minor" -lt 21 ] && echo beta1)"'", "kind": "CronJob", "metadata": {"name": "own"}, "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {'"$pod"', "restartPolicy": "Never"}}}}}}' ;;
  esac
}
terms() { # KIND
  local path=.spec.template.spec
  [ "$1" = CronJob ] && path=.spec.jobTemplate.spec.template.spec
  k get "$1" own -o "jsonpath={$path.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms}"
}
# Annotations, kubectl's among them, make a new generation of a Deployment; there the template is what counts.
generation() { if [ "$1" = Deployment ]; then k get Deployment own -o 'jsonpath={.spec.template}'; else k get "$1" own -o 'jsonpath={.metadata.generation}'; fi; }
record() { k get "$1" own -o 'jsonpath={.metadata.annotations.archway\.dev/template}'; }
kinds="Deployment StatefulSet DaemonSet Job"
# batch/v1beta1 is another version than the rules name; 1.20 has no other.
[ "$minor" -ge 21 ] && kinds="$kinds CronJob"
for kind in $kinds; do
  for own in "" "$arm"; do
    name="$kind${own:+ with terms of its own}"
    owner $kind example.org/arm:1 "$own" >"$folder/$kind.json"
    check "$name is made" k apply -f "$folder/$kind.json"
    check "$name: its template is narrowed" bash -c "echo '$(terms $kind)' | grep -q '\"arm64\"'"
    before=$(generation $kind) narrowed=$(terms $kind) recorded=$(record $kind)
    k label $kind own more=labels >/dev/null
    k annotate $kind own more=words >/dev/null
    equal "$name: a label is no new generation" "$before" "$(generation $kind)"
    check "$name: applied again" k apply -f "$folder/$kind.json"
    equal "$name: which is none either" "$before" "$(generation $kind)"
    check "$name: kubectl diff shows nothing" k diff -f "$folder/$kind.json"
    check "$name: applied on the server's side" k apply --server-side --force-conflicts -f "$folder/$kind.json"
    check "$name: kubectl diff on the server's side shows nothing" k diff --server-side --force-conflicts -f "$folder/$kind.json"
    equal "$name: no new generation" "$before" "$(generation $kind)"
    equal "$name: nor other terms" "$narrowed" "$(terms $kind)"
    equal "$name: nor another record" "$recorded" "$(record $kind)"
    case $kind in
      Deployment | StatefulSet)
        k scale $kind own --replicas 3 >/dev/null
        [ $kind = StatefulSet ] && equal "$name: a scale is one new generation" $((before + 1)) "$(generation $kind)"
        equal "$name: and changes no template" "$narrowed" "$(terms $kind)"
        ;;
      Job)
        [ "$minor" -ge 22 ] && check "$name: started" k patch job own --type merge -p '{"spec": {"suspend": false}}'
        check "$name: and labelled" k label job own again=yes
        check "$name: applied again, though its template is fixed now" k apply -f "$folder/$kind.json"
        equal "$name: as it was" "$narrowed" "$(terms $kind)"
        ;;
    esac
    if [ $kind != Job ]; then
      path=/spec/template/spec
      [ $kind = CronJob ] && path=/spec/jobTemplate/spec/template/spec
      check "$name: another image" k patch $kind own --type json -p '[{"op": "replace", "path": "'$path'/containers/0/image", "value": "example.org/amd:1"}]'
      check "$name: is narrowed anew" bash -c "echo '$(terms $kind)' | grep -q '\[\"amd64\"\]'"
      check "$name: from the user's own words" bash -c "! echo '$(terms $kind)' | grep -q arm64"
      equal "$name: and tolerates nothing any more" "" "$(k get $kind own -o "jsonpath={${path//\//.}.tolerations}" | tr -d '[]')"
    fi
    k delete $kind own --wait=true --cascade=background --timeout=20s >/dev/null
  done
done
alive

# Server-side apply: who owns what the webhook wrote.
owner Deployment example.org/arm:1 >"$folder/applied.json"
k apply --server-side --field-manager=gitops -f "$folder/applied.json" >/dev/null
owners_of_affinity() {
  k get deployment own -o json --show-managed-fields | python3 -c '
import json, sys
fields = json.load(sys.stdin)["metadata"]["managedFields"]
print(" ".join(sorted(each["manager"] + "/" + each["operation"] for each in fields if "f:affinity" in json.dumps(each["fieldsV1"]))))'
}
before=$(generation Deployment)
check "another applier has no conflict with what the webhook wrote" k apply --server-side --field-manager=other -f "$folder/applied.json"
equal "no new generation" "$before" "$(generation Deployment)"
check "it stays when its applier says nothing of it: $(owners_of_affinity)" bash -c "echo '$(terms Deployment)' | grep -q '\"arm64\"'"
k delete deployment own >/dev/null
alive

# What is new in pods, where the server knows it.
arch() { k get pod "$1" -o 'jsonpath={.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[?(@.key=="kubernetes.io/arch")].values}'; }
if [ "$minor" -ge 28 ]; then
  check "a sidecar" k create -f <(pod sidecar example.org/both:1 ', "initContainers": [{"name": "s", "image": "example.org/arm:1", "restartPolicy": "Always"}]')
  equal "counts" '["arm64"]' "$(arch sidecar)"
fi
if [ "$minor" -ge 33 ]; then
  check "an image volume" k create -f <(pod volume example.org/both:1 ', "volumes": [{"name": "v", "image": {"reference": "example.org/arm:1"}}, {"name": "d", "image": {"reference": "example.org/data:1"}}]')
  [ -n "$(k get pod volume -o 'jsonpath={.spec.volumes[?(@.name=="v")].image}')" ] && equal "counts, an artifact's does not" '["arm64"]' "$(arch volume)"
fi
if [ "$minor" -ge 34 ]; then
  check "resources of the whole pod, and its own host name" k create -f <(pod modern example.org/arm:1 ', "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "64Mi"}}, "hostnameOverride": "other", "os": {"name": "linux"}')
  equal "are no trouble" '["arm64"]' "$(arch modern)"
  check "its resources may be changed in place" k patch pod modern --subresource resize --type merge -p '{"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]}}'
fi
if [ "$minor" -ge 27 ]; then
  before=$(reviews)
  k create -f <(pod labelled example.org/arm:1) >/dev/null
  created=$(reviews)
  check "a new pod is asked about" test "$created" -gt "$before"
  k label pod labelled a=b >/dev/null
  k patch pod labelled --type merge -p '{"metadata": {"finalizers": ["example.org/a"]}}' >/dev/null
  k patch pod labelled --type merge -p '{"metadata": {"finalizers": []}}' >/dev/null
  # Before 1.28 the server has its conditions switched off.
  [ "$minor" -ge 28 ] && equal "its labels and finalizers are not" "$created" "$(reviews)"
  k create -f <(pod mirror example.org/arm:1 | sed 's|"namespace": "default"|"namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}|') >/dev/null 2>&1
  [ "$minor" -ge 28 ] && equal "nor are static pods" "$created" "$(reviews)"
fi

# Nodes, and pods that name theirs.
for arch in amd64 arm64; do
  echo '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-'$arch'", "labels": {"kubernetes.io/arch": "'$arch'", "kubernetes.io/os": "linux"}}}' | k create -f - >/dev/null
done
warns() { # NAME IMAGE MORE: what kubectl prints as warnings
  pod "$1" "$2" "${3:-}" | k create --dry-run=server -o name -f - 2>&1 >/dev/null
}
knows() { warns bound example.org/arm:1 ', "nodeName": "node-amd64"' | grep -q 'will not run on node node-amd64 (linux/amd64)'; }
check "a pod that names a node where it does not run is warned of" within 20 knows
equal "one that runs there is not" "" "$(warns bound example.org/arm:1 ', "nodeName": "node-arm64"')"
alive

# Ephemeral containers, of a pod that has been placed.
debug() { # POD IMAGE
  k get --raw "/api/v1/namespaces/default/pods/$1" | python3 -c '
import json, sys
pod = json.load(sys.stdin)
pod["spec"].setdefault("ephemeralContainers", []).append({"name": "debug-" + sys.argv[1], "image": sys.argv[2]})
print(json.dumps(pod))' "$RANDOM" "$2" >"$folder/debugged.json"
  k replace --raw "/api/v1/namespaces/default/pods/$1/ephemeralcontainers" -f "$folder/debugged.json" 2>&1
}
if [ "$minor" -ge 25 ]; then
  k create -f <(pod placed example.org/arm:1 ', "nodeName": "node-arm64"') >/dev/null
  check "a debugger for another processor is warned of" bash -c "echo '$(debug placed example.org/amd:1 | tr -d "'" | head -c 2000)' | grep -q 'will not run on node node-arm64'"
  check "and lets itself be added all the same" test 1 = "$(k get pod placed -o json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["spec"].get("ephemeralContainers", [])))')"
  check "one that runs there is not" bash -c "! echo '$(debug placed example.org/both:1 | tr -d "'" | head -c 2000)' | grep -q 'will not run'"
fi
alive

# Refusals, and their Events.
end "$hook"
start_hook --on-conflict deny
refuses() { ! pod refused example.org/arm:1 ', "nodeSelector": {"kubernetes.io/arch": "amd64"}' | k create --dry-run=server -f -; }
check "a webhook that refuses" within 40 refuses
events() { k get events -o 'jsonpath={range .items[*]}{.type} {.reason} {.involvedObject.kind}/{.involvedObject.name} {.count}{"\n"}{end}' | grep -E "$1"; }
equal "a dry run has no Event" "" "$(events ImagePlatformsDenied)"
for i in 1 2 3 4 5; do pod refused example.org/arm:1 ', "nodeSelector": {"kubernetes.io/arch": "amd64"}' | k create -f - >/dev/null 2>&1; done
counted() { events 'Warning ImagePlatformsDenied Pod/refused 5'; }
check "five refusals are one Event that counts them" within 20 counted
equal "one" 1 "$(events 'ImagePlatformsDenied Pod/refused' | wc -l)"
if [ -x "$assets/kube-controller-manager" ]; then
  start manager "$assets/kube-controller-manager" --kubeconfig "$folder/kubeconfig" --authentication-kubeconfig "$folder/kubeconfig" --authorization-kubeconfig "$folder/kubeconfig" \
    --leader-elect=false --bind-address 127.0.0.1 --secure-port "$(free_port)" --service-account-private-key-file "$folder/sa.key" --controllers=deployment,replicaset,daemonset,statefulset,job
  "$archway" admission manifests --url "https://127.0.0.1:$hook_port/mutate" --kube-version 1.$minor >"$folder/pods-only.yaml"
  k get mutatingwebhookconfiguration archway-admission -o json | python3 -c '
import json, sys
hook = json.load(sys.stdin)
hook["webhooks"] = hook["webhooks"][:1]
print(json.dumps(hook))' | k replace -f - >/dev/null
  owner Deployment example.org/arm:1 ', "nodeSelector": {"kubernetes.io/arch": "amd64"}' | k create -f - >/dev/null
  told() { events 'Warning ImagePlatformsDenied ReplicaSet/own-'; }
  check "pods that have no name yet are told of at what makes them" within 40 told
  k delete deployment own >/dev/null
  owner DaemonSet example.org/arm:1 | k create -f - >/dev/null
  daemon() { k get pods -l app=a -o 'jsonpath={.items[*].spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[?(@.key=="kubernetes.io/arch")].values}' | grep -q arm64; }
  check "a DaemonSet's pods are narrowed beside the name of their node" within 40 daemon
fi
alive
finish
