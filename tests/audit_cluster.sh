#!/usr/bin/env bash
# audit and fix against a real API server: every workload of a cluster found and judged, with the rights of the role that is printed and
# no more; clusters that answer badly, in part, or no longer; what fix says about it, taken by the server. $KUBEBUILDER_ASSETS names a
# folder with etcd and kube-apiserver.
set -uo pipefail
archway=$1
folder=$(mktemp -d /tmp/archway-cluster-XXXXXX)
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/control_plane.sh"
objects() { python3 "$tests/cluster_objects.py" "$@"; }
export HOME=$folder ARCHWAY_ROOT=$folder/root DOCKER_CONFIG=$folder/docker NO_COLOR=1
unset KUBECONFIG KUBERNETES_SERVICE_HOST

# Users by certificate as well, and everything that is asked written down.
(
  cd "$folder" || exit 1
  openssl req -x509 -newkey rsa:2048 -nodes -keyout users.key -out users.crt -subj /CN=users -days 3650
  openssl req -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj /O=system:masters/CN=ann
  openssl x509 -req -in client.csr -CA users.crt -CAkey users.key -CAcreateserial -out client.crt -days 10
  openssl x509 -req -in client.csr -CA users.crt -CAkey users.key -CAcreateserial -out expired.crt -days -1
) >"$folder/openssl.log" 2>&1
echo '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata", "users": ["auditor"]}, {"level": "None"}]}' >"$folder/policy.json"
echo 'secret-of-auditor,auditor,2
secret-of-part,part,3' >>"$folder/tokens"
start_etcd
start_api --client-ca-file "$folder/users.crt" --audit-policy-file "$folder/policy.json" --audit-log-path "$folder/asked.log"

serve; public=$registry
echo 'ann:$2y$05$gVqBy/HJpJ34Bmy2O0czMOg3Qz2RmCSsnkTOJ3qnhZQeanNpsmKAi' >"$folder/users" # ann:secret
serve --htpasswd "$folder/users"; private=$registry
processes+=("${servers[@]}")
dead=127.0.0.1:$(free_port)
digests=$(objects fill "$public" "$private" ann:secret)
api_is_up
cron=batch/v1
k get --raw /apis/batch/v1 | grep '"cronjobs"' >/dev/null || cron=batch/v1beta1 # before 1.21

# The recorded cluster, and objects with every way to hold a pod.
created() { # FILE
  k create --validate=false -f "$1" >"$folder/created" 2>&1 || { grep -v ' created$' "$folder/created" | head -n 5; return 1; }
}
objects definitions >"$folder/definitions.json"
check "definitions of custom resources" created "$folder/definitions.json"
known=()
if [ -d "$tests/../../shared/vectors/kubernetes/cluster" ]; then
  objects recorded $cron >"$folder/recorded.json"
  objects known >"$folder/known.json"
  known=(--images "$folder/known.json")
  check "the recorded cluster" created "$folder/recorded.json"
fi
objects own "$public" "$private" "$dead" "$digests" $cron >"$folder/own.json"
check "custom resources are served" within 20 k get widgets,fleets,rollouts -A
check "objects of every kind" created "$folder/own.json"

audit() { "$archway" audit --progress quiet "${known[@]}" "$@"; }
# REPORT is the file of what it said; its status is that of the audit, and nothing else.
report() { # STATUS FLAGS...
  local wanted=$1 status=0; shift
  audit --json "$@" >"$folder/report.json" 2>"$folder/report.err" || status=$?
  [ "$status" = "$wanted" ] || { echo "status $status, not $wanted: audit $*"; head -n 5 "$folder/report.err"; objects unseen <"$folder/report.json"; return 1; }
}
seen() { objects seen <"$folder/report.json"; }
unseen() { objects unseen <"$folder/report.json" 2>/dev/null; }
workloads() { k get deploy,rs,ds,sts,rc,cronjob,job,pod,podtemplates,widgets,rollouts -A -o json 2>/dev/null | objects walk; }
config() { # NAME USER [CLUSTER]: a kubeconfig beside the first, with another user (as YAML), perhaps another cluster
  sed -e "s|{name: admin, user: .*}\]|{name: admin, user: $2}]|" "$folder/kubeconfig" >"$folder/$1"
  [ -z "${3:-}" ] || sed -i "s|cluster: {server.*}}\]|cluster: $3}]|" "$folder/$1"
}
server=https://127.0.0.1:$api_port

# What is there is found.
config auditor '{token: secret-of-auditor}'
k create clusterrolebinding auditor --clusterrole=cluster-admin --user=auditor >/dev/null
check "the whole cluster" report 1 --kubeconfig "$folder/auditor"
equal "every image of every workload" "$(workloads)" "$(seen)"
equal "each judged as its images are" "" "$(objects verdicts <"$folder/report.json")"
equal "nothing is hidden" "" "$(unseen)"
asked() { jq -r 'select(.user.username == "auditor") | .verb + " " + .objectRef.resource' "$folder/asked.log"; }
equal "only reading" "get list" "$(asked | cut -d ' ' -f 1 | sort -u | grep -v '^$' | xargs)"
equal "secrets are never listed" "" "$(asked | grep 'list secrets')"
check "but read by name" grep -q 'get secrets' <(asked)
check "one namespace" report 1 --kubeconfig "$folder/kubeconfig" -n team
equal "no more than that" "team" "$(jq -r '.workloads[].namespace' "$folder/report.json" | sort -u | xargs)"
check "two namespaces" report 1 --kubeconfig "$folder/kubeconfig" -n team -n shop
equal "both" "shop team" "$(jq -r '.workloads[].namespace' "$folder/report.json" | sort -u | xargs)"
alive

# A dump of it, with its secrets, sees as much.
k get secrets,serviceaccounts,deployments -n private -o yaml >"$folder/dump.yaml"
dumped() { ARCHWAY_ROOT=$folder/other report 2 "$folder/dump.yaml"; }
check "a dump with secrets in it" dumped
equal "private images are seen with them" "Deployment private/account ready Deployment private/app ready Deployment private/nobody unknown" \
  "$(jq -r '.workloads[] | .object + " " + .verdicts["linux/arm64"]' "$folder/report.json" | sort | xargs)"
equal "and secrets stay secret" "" "$(grep -e 'c2VjcmV0' -e '"password' "$folder/report.json"; grep -rl 'ann:secret\|"secret"' "$folder/other")"

# With the rights that are printed, and no more.
"$archway" audit --print-role --kubeconfig "$folder/kubeconfig" -A >"$folder/role.yaml"
check "the role is one" k apply -f "$folder/role.yaml"
k create serviceaccount auditor -n default >/dev/null
k create clusterrolebinding archway-audit --clusterrole=archway-audit --serviceaccount=default:auditor >/dev/null
token=$(k create token auditor -n default)
config by-role "{token: $token}"
check "the whole cluster with it" report 1 --kubeconfig "$folder/by-role"
equal "nothing is missing" "$(workloads)" "$(seen)"
equal "nor judged otherwise" "" "$(objects verdicts <"$folder/report.json")"
equal "and nothing is hidden from it" "" "$(unseen)"
"$archway" audit --print-role | k apply -f - >/dev/null
check "without the cluster at hand, the role has custom resources that are well known" report 1 --kubeconfig "$folder/by-role"
equal "others are named" "cluster:test: fleets.example.org: not allowed
namespace NAME: widgets.example.org: not allowed" "$(unseen | sed -E 's/namespace [^:]+/namespace NAME/' | sort -u)"

# Rights to some namespaces only.
"$archway" audit --print-role -n shop --kubeconfig "$folder/kubeconfig" | k apply -f - >/dev/null
k create rolebinding -n shop part --role=archway-audit --user=part >/dev/null
config part '{token: secret-of-part}'
check "one namespace, by a Role" report 1 --kubeconfig "$folder/part" -n shop
equal "is judged" "" "$(objects verdicts shop <"$folder/report.json")"
equal "as a whole" "" "$(unseen)"
sed -i 's|user: admin}|user: admin, namespace: shop}|' "$folder/part"
check "everything, by a Role for one" report 1 --kubeconfig "$folder/part"
equal "the context's namespace is judged" "" "$(objects verdicts shop <"$folder/report.json")"
check "and the rest named" grep -q '^all namespaces but shop: .*deployments.apps.*: not allowed' <(unseen)
k create clusterrole names --verb=list --resource=namespaces >/dev/null
k create clusterrolebinding part --clusterrole=names --user=part >/dev/null
check "where namespaces may be listed" report 1 --kubeconfig "$folder/part"
equal "those with rights are judged" "" "$(objects verdicts shop <"$folder/report.json")"
check "and the others named" grep -q '^namespace locked: .*deployments.apps.*: not allowed' <(unseen)
check "nothing but what may not be seen" report 2 --kubeconfig "$folder/part" -n locked
alive

# Who we are. What images hold is known by now: registries are not asked again.
quick=(--offline --no-updates)
config by-certificate '{client-certificate: client.crt, client-key: client.key}'
check "a client certificate" report 1 "${quick[@]}" --kubeconfig "$folder/by-certificate" -n team
config expired '{client-certificate: expired.crt, client-key: client.key}'
says "an expired one is told from a wrong one" 2 "which is past: get a new one" audit --kubeconfig "$folder/expired" -A
config nobody '{token: nobody}'
says "a token that is no good" 2 "the cluster does not know who this is" audit --kubeconfig "$folder/nobody" -A
equal "is told once" 1 "$(grep -c 'cluster:test' "$folder/said")"
config stranger '{token: secret-of-admin}' "{server: \"$server\", certificate-authority: users.crt}"
says "a server of another authority" 2 "certificate" audit --kubeconfig "$folder/stranger" -A
config trusting '{token: secret-of-admin}' "{server: \"$server\", insecure-skip-tls-verify: true}"
check "insecure-skip-tls-verify" report 1 "${quick[@]}" --kubeconfig "$folder/trusting" -n team
config other-name '{token: secret-of-admin}' "{server: \"$server\", certificate-authority: api/apiserver.crt, tls-server-name: example.org}"
says "tls-server-name is what the certificate must say" 2 "example.org" audit --kubeconfig "$folder/other-name" -A
config right-name '{token: secret-of-admin}' "{server: \"$server\", certificate-authority: api/apiserver.crt, tls-server-name: kubernetes.default.svc}"
check "and it is enough that it does" report 1 "${quick[@]}" --kubeconfig "$folder/right-name" -n team
plugin() { # NAME LINE: a credential plugin
  printf '#!/bin/sh\n%s\n' "$2" >"$folder/plugin-$1"; chmod +x "$folder/plugin-$1"
  config "by-$1" "{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin-$1, interactiveMode: IfAvailable}}"
}
plugin login "echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"client.authentication.k8s.io/v1\", \"status\": {\"token\": \"secret-of-admin\"}}'"
check "an exec plugin" report 1 "${quick[@]}" --kubeconfig "$folder/by-login" -n team
plugin failing 'echo "run corp-login first" >&2; exit 3'
says "one that fails says why" 2 "run corp-login first" audit --kubeconfig "$folder/by-failing" -A
plugin hanging "echo \$\$ >$folder/hanging; exec sleep 600"
says "one that hangs can be stopped" 2 "" timeout --foreground --preserve-status -s INT 2 "$archway" audit --progress quiet --kubeconfig "$folder/by-hanging"
check "and is gone then" sh -c "! kill -0 $(cat "$folder/hanging") 2>/dev/null"

# Things that happen in the middle.
middle() { # NAME FLAGS...: a proxy before the API server; its kubeconfig is $folder/NAME, $asked what it was asked
  local name=$1; shift
  asked=$folder/$name.asked
  : >"$folder/$name.address"
  processes+=(0)
  python3 "$tests/cluster_proxy.py" "$server" "$asked" "$@" >"$folder/$name.address" 2>"$folder/$name.log" &
  processes[-1]=$!
  until [ -s "$folder/$name.address" ]; do sleep 0.05; done
  config "$name" '{token: secret-of-admin}' "{server: \"http://$(cat "$folder/$name.address")\"}"
}
middle pages --limit 3
check "many pages" report 1 "${quick[@]}" --kubeconfig "$folder/pages"
equal "are one list" "$(workloads)" "$(seen)"
check "and were several" grep -q 'deployments.*continue=' "$asked"
compact="curl -s http://127.0.0.1:$etcd_port/v3/kv/compaction -d \"{\\\"revision\\\": \$(curl -s http://127.0.0.1:$etcd_port/v3/kv/range -d '{\"key\": \"AA==\"}' | jq -r .header.revision), \\\"physical\\\": true}\""
middle expired-page --limit 3 --before 'deployments.*continue=' "$kubectl --kubeconfig $folder/kubeconfig annotate -n shop deployment web touched=1; $compact"
check "a page that has expired" report 1 "${quick[@]}" --kubeconfig "$folder/expired-page"
equal "is asked for again" "$(workloads)" "$(seen)"
middle expired-by-order --limit 3 --once 'deployments.*continue=' 410
check "an answer 410" report 1 "${quick[@]}" --kubeconfig "$folder/expired-by-order"
equal "begins anew" "$(workloads)" "$(seen)"
equal "and nothing is hidden" "" "$(unseen)"
printf secret-of-nobody >"$folder/token"
middle rotated --before '/api/v1/pods' "printf secret-of-admin >$folder/token"
config rotated "{tokenFile: token}" "{server: \"http://$(cat "$folder/rotated.address")\"}"
says "a token file that is no good" 2 "does not know who this is" audit --kubeconfig "$folder/rotated" -A
printf secret-of-admin >"$folder/token"
middle rotated --once '/apis/apps/v1/deployments' 401 --before '/apis/apps/v1/deployments' "printf secret-of-auditor >$folder/token"
config rotated "{tokenFile: token}" "{server: \"http://$(cat "$folder/rotated.address")\"}"
check "a token that is replaced in the middle" report 1 "${quick[@]}" --kubeconfig "$folder/rotated"
equal "is read again" "$(workloads)" "$(seen)"
middle leaving --end-at /apis/apps/v1/daemonsets
check "an API server that goes away" report 1 "${quick[@]}" --kubeconfig "$folder/leaving"
check "names what it was not asked for" grep -q 'not asked for, since it no longer answers' <(unseen)
middle leaving-early --end-at '^/apis$'
check "and one that goes away earlier" report 2 "${quick[@]}" --kubeconfig "$folder/leaving-early"
equal "is named once" 1 "$(unseen | wc -l)"
middle vanishing --before 'apis/example.org/v1/widgets' "$kubectl --kubeconfig $folder/kubeconfig delete crd rollouts.argoproj.io; $kubectl --kubeconfig $folder/kubeconfig delete secret -n shop regcred"
check "kinds and objects that are deleted meanwhile" report 1 "${quick[@]}" --kubeconfig "$folder/vanishing"
k delete crd rollouts.argoproj.io >/dev/null 2>&1
equal "are not there, and that is all" "" "$(unseen)"
alive

# A group whose own server is not there hides nothing else.
k apply -f - >/dev/null <<'SERVICE'
{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.nowhere.example.net"},
 "spec": {"group": "nowhere.example.net", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 10, "insecureSkipTLSVerify": true, "service": {"name": "nowhere", "namespace": "default"}}}
SERVICE
unavailable() { k get --raw /apis/nowhere.example.net/v1beta1 2>&1 | grep -q 'unable to handle'; }
within 20 unavailable
check "an aggregated API that is not there" report 1 "${quick[@]}" --kubeconfig "$folder/kubeconfig"
equal "is named" "kinds of nowhere.example.net/v1beta1 in cluster:test" "$(unseen | sed 's/: .*//; s|cluster$|cluster:test|')"
k delete apiservice v1beta1.nowhere.example.net >/dev/null

# As kubectl finds its cluster.
mkdir "$folder/split"
printf 'apiVersion: v1\nkind: Config\ncurrent-context: far\ncontexts:\n- {name: far, context: {cluster: none, user: none}}\nusers:\n- {name: admin, user: {token: secret-of-admin}}\n' >"$folder/split/one"
printf 'apiVersion: v1\nkind: Config\ncurrent-context: near\ncontexts:\n- {name: near, context: {cluster: test, user: admin, namespace: team}}\n- {name: far, context: {cluster: test, user: admin}}\nclusters:\n- {name: test, cluster: {server: "%s", certificate-authority: ../api/apiserver.crt}}\nusers:\n- {name: admin, user: {token: nobody}}\n' "$server" >"$folder/split/two"
export KUBECONFIG=$folder/split/one:$folder/split/none:$folder/split/two
check "kubectl merges files" "$kubectl" --context near get nodes
check "so do we" report 1 "${quick[@]}" --context near
equal "and say which context" "cluster:near" "$(jq -r '.workloads[0].source' "$folder/report.json")"
says "the first file names the context" 2 'there is no cluster "none"' audit
says "for kubectl too" 1 "" "$kubectl" get nodes
export KUBECONFIG=$folder/kubeconfig
middle company
config by-proxy '{token: secret-of-admin}' "{server: \"$server\", certificate-authority: api/apiserver.crt, proxy-url: \"http://$(cat "$folder/company.address")\"}"
check "kubectl goes by proxy-url" "$kubectl" --kubeconfig "$folder/by-proxy" get nodes
: >"$asked"
check "so do we" report 1 "${quick[@]}" --kubeconfig "$folder/by-proxy" -n team
check "to the server" grep -q "CONNECT 127.0.0.1:$api_port" "$asked"
mkdir "$folder/bin"
ln -s "$archway" "$folder/bin/kubectl-archway"
plugin_says() { PATH=$folder/bin:$PATH "$kubectl" archway audit --progress quiet "${known[@]}" --json "$@" >"$folder/plugin.json"; [ $? = 1 ]; }
check "as a plugin" plugin_says "${quick[@]}"
equal "it sees the same" "$(workloads)" "$(objects seen <"$folder/plugin.json")"
alive

# What fix says about manifests is taken by the server.
fix() { "$archway" fix --progress quiet --taint arch=arm64:NoSchedule "${known[@]}" "$@"; }
mkdir "$folder/manifests"
objects manifests "$public" "$digests" $cron >"$folder/manifests/all.yaml"
cp -r "$folder/manifests" "$folder/edited"
fix "$folder/edited" >"$folder/said" 2>&1
check "there is something to mend" test -n "$(diff "$folder/manifests/all.yaml" "$folder/edited/all.yaml")"
k create namespace made >/dev/null
check "a server-side dry run takes what was there" k apply --dry-run=server --validate=false -f "$folder/manifests"
check "and what fix makes of it" k apply --dry-run=server --validate=false -f "$folder/edited"
(cd "$folder/manifests" && fix -o kustomize all.yaml >"$folder/kustomization.yaml" 2>/dev/null)
printf 'resources: [all.yaml]\n' >>"$folder/kustomization.yaml"
cp "$folder/kustomization.yaml" "$folder/manifests/"
kustomized() { "$kubectl" kustomize "$folder/manifests" >"$folder/kustomized.yaml"; }
check "kustomize takes the patches" kustomized
check "and the server what they make" k apply --dry-run=server --validate=false -f "$folder/kustomized.yaml"
equal "which is what fix itself makes" "$(objects canonical <"$folder/edited/all.yaml")" "$(objects canonical <"$folder/kustomized.yaml")"
rm "$folder/manifests/kustomization.yaml"
k apply --validate=false -f "$folder/manifests" >/dev/null 2>&1
commands() { # FILE [FLAG]: runs the commands that fix wrote, with that flag
  sed "s|^kubectl \\(.*\\)\$|\"$kubectl\" --kubeconfig \"$folder/kubeconfig\" \\1 ${2:-}|" "$1" >"$folder/commands.sh"
  sh -e "$folder/commands.sh"
}
(cd "$folder/manifests" && fix -o kubectl all.yaml >"$folder/patches" 2>/dev/null)
check "the server takes the kubectl patches of manifests" commands "$folder/patches" --dry-run=server
check "and there are some" grep -q '^kubectl .*patch' "$folder/patches"
k delete --wait=false -f "$folder/manifests" >/dev/null 2>&1
alive

# And about the cluster itself: commands that are taken, or why there are none; afterwards there is nothing to say.
live() { fix -n shop -n team "$@"; }
live >"$folder/patches" 2>"$folder/left"
check "patches of the cluster" grep -q "^kubectl -n 'team' patch 'statefulset.v1.apps' 'db'" "$folder/patches"
equal "none of a Job or a pod that cannot change" "" "$(grep "^kubectl.*'stale'" "$folder/patches")"
check "but how to replace it" grep -q '^# Job stale cannot be patched: a Job.s template is fixed' "$folder/patches"
check "nor a pod" grep -q '^# Pod stale cannot be patched: of a pod only images can change' "$folder/patches"
check "a toleration is added to a pod" grep -q "^kubectl -n 'shop' patch 'pod' 'untolerant'" "$folder/patches"
check "the server takes them all" commands "$folder/patches" --dry-run=server
check "it is they that change something" commands "$folder/patches"
live >"$folder/patches" 2>"$folder/left"
equal "and nothing of it is left" "" "$(grep -v '^#' "$folder/patches")"
check "what is a comment can be done as well" grep -q '^# kubectl replace --force' "$folder/patches"
sed -n 's/^# \(kubectl replace .*\|{.*\|END\)$/\1/p' "$folder/patches" >"$folder/replace"
check "and is taken" commands "$folder/replace"
live >"$folder/patches" 2>"$folder/left"
equal "then nothing is left at all" "" "$(cat "$folder/patches")"
check "audit agrees" report 1 -n shop -n team
equal "about all that had a cure" "" "$(jq -r '.findings[] | select(.severity != "note" and .remedy.kind) | .rule + " " + .place.object' "$folder/report.json" | sort -u)"
fix --context test -n team --add-toleration x=y:NoSchedule --only deployment/dead >"$folder/patches" 2>/dev/null
check "commands go to the context that was looked at" grep -q "^kubectl '--context=test' -n 'team' patch 'deployment.v1.apps' 'dead'" "$folder/patches"
check "which the server takes" commands "$folder/patches" --dry-run=server
says "a cluster is not written to" 64 "-w is for files" fix -A -w
alive
finish
