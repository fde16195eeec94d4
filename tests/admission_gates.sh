#!/usr/bin/env bash
# Pods that wait for a registry, on a real API server that knows scheduling gates: two replicas of the webhook, with the rights of the manifests
# and no others, in front of a registry that is there and is not. $KUBEBUILDER_ASSETS as in control_plane.sh.
set -uo pipefail
archway=$(realpath "$1")
folder=$(mktemp -d /tmp/archway-gates-XXXXXX)
trap 'rm -rf "$folder"' EXIT
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/control_plane.sh"
start_etcd
start_api
api_is_up
probe='{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": "default"}, "spec": {"schedulingGates": [{"name": "a/b"}], "containers": [{"name": "c", "image": "x"}]}}'
[ -n "$(echo "$probe" | k create --dry-run=server --validate=false -o 'jsonpath={.spec.schedulingGates}' -f - 2>/dev/null)" ] || skip_all "this API server knows no scheduling gates"

hook_ports=($(free_port) $(free_port)) registry_port=$(free_port)
registry=127.0.0.1:$registry_port
# What is installed in the cluster, but that the webhook runs beside it, as its service account.
"$archway" admission manifests --image example.org/archway:1 --on-unknown gate --pull-secrets --read-logs --namespace hooks --json >"$folder/install.json"
"$archway" admission manifests --url "https://127.0.0.1:${hook_ports[0]}/mutate" --owners --json >"$folder/hook.json"
python3 - "$folder" <<'PY'
import json, sys
folder = sys.argv[1]
install, hook = (json.load(open(f"{folder}/{name}.json")) for name in ("install", "hook"))
install["items"] = [each for each in install["items"] if each["kind"] not in ("MutatingWebhookConfiguration", "Deployment")] + hook["items"]
json.dump(install, open(f"{folder}/all.json", "w"))
PY
check "the API server takes what is installed" k apply -f "$folder/all.json"
token=$(k create token archway-admission -n hooks --duration 1h)
sed "s|user: admin|user: hook|; s|users: .*|users: [{name: hook, user: {token: $token}}]|" "$folder/kubeconfig" >"$folder/hookconfig"

# A registry of images for both processors, for one, and for systems that differ.
cat >"$folder/registry.py" <<'PY'
import hashlib, http.server, json, sys
PLATFORMS = {"amd": ["linux/amd64"], "arm": ["linux/arm64"], "both": ["linux/amd64", "linux/arm64"], "mixed": ["linux/arm64", "windows/amd64"]}

class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def answer(self):
        parts = self.path.split("/")
        found = self.path == "/v2/" or (len(parts) > 4 and parts[2] in PLATFORMS)
        body = b"{}"
        if found and self.path != "/v2/":
            body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
                {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1000, "digest": "sha256:" + hashlib.sha256((self.path + each).encode()).hexdigest(),
                 "platform": {"os": each.split("/")[0], "architecture": each.split("/")[1]}} for each in PLATFORMS[parts[2]]]}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/vnd.oci.image.index.v1+json")
        self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET": self.wfile.write(body)
    do_GET = do_HEAD = answer

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
PY
start_registry() { start registry python3 "$folder/registry.py" "$registry_port"; registry_process=$started; within 20 curl -sSf --noproxy '*' "http://$registry/v2/"; }
start_hook() { # NUMBER [FLAGS...]
  local number=$1; shift
  KUBECONFIG=$folder/hookconfig POD_NAME=replica-$number POD_NAMESPACE=hooks start "hook-$number" "$archway" admission serve --listen "127.0.0.1:${hook_ports[number]}" \
    --tls-cert-file "$folder/tls-$number/tls.crt" --tls-private-key-file "$folder/tls-$number/tls.key" --own-certificate --certificate-name 127.0.0.1 --controllers --on-unknown gate \
    --plain-http "$registry" --cache none --deadline 500ms --node-platforms linux/amd64,linux/arm64,windows/amd64,windows/arm64 "$@"
  hooks[number]=$started
}
hooks=()
metric() { curl -sS --noproxy '*' -k "https://127.0.0.1:${hook_ports[$1]}/metrics" | sed -n "s/^$2 //p"; }
start_hook 0
start_hook 1
check "two replicas share a certificate" within 40 curl -sS --noproxy '*' -k "https://127.0.0.1:${hook_ports[0]}/readyz"
check "and both answer" within 40 curl -sS --noproxy '*' -k "https://127.0.0.1:${hook_ports[1]}/readyz"
one_leads() { [ "$(metric 0 archway_admission_leader)$(metric 1 archway_admission_leader)" = 10 ] || [ "$(metric 0 archway_admission_leader)$(metric 1 archway_admission_leader)" = 01 ]; }
check "one of them leads" within 20 one_leads
bundle() { [ -n "$(k get mutatingwebhookconfiguration archway-admission -o 'jsonpath={.webhooks[0].clientConfig.caBundle}')" ]; }
check "the authority is written with the rights of the manifests" within 20 bundle

pod() { # NAME IMAGE [MORE OF THE SPEC]
  echo '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "'"$1"'", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "'"$registry/$2"'"}]'"${3:-}"'}}'
}
spec() { k get pod "$1" -o "jsonpath={.spec$2}"; }
gates() { spec "$1" '.schedulingGates[*].name'; }
terms='.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms'
lifted() { [ -z "$(gates "$1")" ]; }
is_gated() { pod "probe-$RANDOM$RANDOM" gone/x:1 | k create --dry-run=server -o 'jsonpath={.spec.schedulingGates[*].name}' -f - | grep -q archway.dev; }
check "a pod whose registry is down is gated" within 20 is_gated

# The registry is down while these come.
zone='"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}}'
k create -f <(pod arm arm:1) >/dev/null 2>&1
k create -f <(pod both both:1 ', "schedulingGates": [{"name": "example.org/theirs"}]') >/dev/null 2>&1
k create -f <(pod mixed mixed:1 ", $zone") >/dev/null 2>&1
k create -f <(pod selected arm:2 ', "nodeSelector": {"zone": "a"}, "tolerations": [{"key": "t", "operator": "Exists"}]') >/dev/null 2>&1
k create -f <(pod deleted arm:3) >/dev/null 2>&1
k create -f <(pod contradicted arm:4 ', "nodeSelector": {"kubernetes.io/arch": "amd64"}') >/dev/null 2>&1
for one in arm mixed selected deleted contradicted; do equal "$one waits" archway.dev/image-platforms "$(gates $one)"; done
equal "another's gate is kept" "example.org/theirs archway.dev/image-platforms" "$(gates both)"
equal "a term stands in reserve, since systems differ" 2 "$(spec mixed "$terms" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')"
equal "the pod says that it waits" SchedulingGated "$(k get pod arm -o 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}')"
check "and who describes it sees why" within 20 bash -c "'$kubectl' --kubeconfig '$folder/kubeconfig' describe pod arm | grep -q ImagePlatformsAwaited"
check "a label may be set meanwhile" k label pod arm more=labels
check "a gated pod may be deleted" k delete pod deleted --wait=true --timeout=20s --grace-period=0
# Whoever leads is killed; the other takes over.
leader=0; [ "$(metric 1 archway_admission_leader)" = 1 ] && leader=1
end "${hooks[leader]}" -KILL
check "a killed leader does not lift, and nobody refuses" k create -f <(pod later both:2)
start_hook $leader
alive
start_registry >/dev/null
for one in arm mixed selected contradicted; do check "when the registry is there, $one is let go" within 60 lifted $one; done
ours_gone() { [ "$(gates both)" = example.org/theirs ]; }
check "of two gates ours is lifted" within 30 ours_gone
equal "narrowed to what its image holds" '[{"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":["arm64"]},{"key":"kubernetes.io/os","operator":"In","values":["linux"]}]}]' "$(spec arm "$terms")"
equal "each system with its architectures" 'amd64/windows arm64/linux' \
  "$(spec mixed "$terms" | python3 -c 'import json, sys; print(" ".join(sorted("/".join(e["values"][0] for e in t["matchExpressions"][1:]) for t in json.load(sys.stdin))))')"
equal "what the pod said stays" a "$(spec selected .nodeSelector.zone)"
equal "a pod that contradicts its image goes nowhere" '["arm64"]' "$(spec contradicted "$terms[0].matchExpressions[?(@.key==\"kubernetes.io/arch\")].values")"
check "and that is told" within 20 bash -c "'$kubectl' --kubeconfig '$folder/kubeconfig' get events | grep -q 'ImagePlatformsConflict.*contradicted'"
check "what was done stands on the pod" bash -c "'$kubectl' --kubeconfig '$folder/kubeconfig' get pod arm -o 'jsonpath={.metadata.annotations.archway\.dev/platforms}' | grep -q linux/arm64"
k patch pod both --type json -p '[{"op": "remove", "path": "/spec/schedulingGates"}]' >/dev/null
alive

# A gated pod of somebody else's gets another image: its affinity is narrowed in the update.
k create -f <(pod updated both:3 ', "schedulingGates": [{"name": "example.org/theirs"}]') >/dev/null
check "a gated pod's image may be changed" k set image pod/updated "c=$registry/arm:1"
equal "and the webhook follows" '["arm64"]' "$(spec updated "$terms[0].matchExpressions[?(@.key==\"kubernetes.io/arch\")].values" | sed 's/.*\(\["arm64"\]\).*/\1/')"

# An image that does not exist is no reason to wait.
k create -f <(pod missing nowhere:1) >/dev/null 2>&1
equal "an image that is not there waits for nothing" "" "$(gates missing)"

# A registry that never answers: the pod goes as it is, after the time that was said, whoever has been started again meanwhile.
end "$registry_process" -KILL
for number in 0 1; do end "${hooks[number]}"; start_hook $number --gate-timeout 25s; done
check "gated again" within 40 is_gated
k create -f <(pod never gone:1) >/dev/null 2>&1
begun=$SECONDS
equal "it waits" archway.dev/image-platforms "$(gates never)"
sleep 8
for number in 0 1; do end "${hooks[number]}"; start_hook $number --gate-timeout 25s; done
equal "it still waits" archway.dev/image-platforms "$(gates never)"
check "in the end it goes" within 60 lifted never
took=$((SECONDS - begun))
check "not before its time" test $took -ge 22
check "and not after beginning anew ($took s)" test $took -lt 50
equal "as it was" "" "$(spec never .affinity)"
check "which is told" within 20 bash -c "'$kubectl' --kubeconfig '$folder/kubeconfig' describe pod never | grep -q ImagePlatformsUnknown"

for number in 0 1; do end "${hooks[number]}"; done
check "without any replica pods pass" k create -f <(pod alone arm:9)
equal "ungated" "" "$(gates alone)"
alive
finish
