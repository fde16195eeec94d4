# Sourced, after base.sh, by tests that need a real API server. $KUBEBUILDER_ASSETS names a folder with etcd and kube-apiserver.
# Gives $assets, $kubectl, `k` (kubectl as an administrator, with $folder/kubeconfig) and what is below; all that it started ends with the shell.
processes=()
start() { # NAME COMMAND...: in the background, its words in $folder/NAME.log; its process in $started
  local name=$1; shift
  "$@" >>"$folder/$name.log" 2>&1 &
  started=$!
  processes+=("$started")
}
end() { # PROCESS [SIGNAL]
  kill "${2:--TERM}" "$1" 2>/dev/null; wait "$1" 2>/dev/null
}
stop_all() {
  local one
  for one in "${processes[@]}"; do kill -9 "$one" 2>/dev/null; done
  wait 2>/dev/null
  rm -rf "$folder"
}
trap stop_all EXIT

assets=${KUBEBUILDER_ASSETS:-}
[ -n "$assets" ] && [ -x "$assets/etcd" ] && [ -x "$assets/kube-apiserver" ] || skip_all "no control plane: \$KUBEBUILDER_ASSETS must hold etcd and kube-apiserver"
kubectl=$(PATH=$assets:$PATH command -v kubectl) || skip_all "kubectl is needed"
for tool in openssl python3; do command -v $tool >/dev/null || skip_all "$tool is needed"; done

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
within() { # SECONDS COMMAND...: until it does
  local left=$(($1 * 5)); shift
  until "$@" >"$folder/within" 2>&1; do
    left=$((left - 1)); [ $left -gt 0 ] || { cat "$folder/within"; return 1; }
    sleep 0.2
  done
}
k() { "$kubectl" --kubeconfig "$folder/kubeconfig" --request-timeout=20s "$@"; }

# An API server that crashes by itself (old ones built by a newer Go do) proves nothing: what failed since the last look is not counted.
failed_before=0
alive() {
  if ! kill -0 "$api" 2>/dev/null; then
    echo "the API server ended by itself after $passed checks: $(grep -m1 -E '^(fatal error|panic)' "$folder/api.log")"
    failed=$failed_before
    [ "$failed" = 0 ] && skip_all "the API server of \$KUBEBUILDER_ASSETS ended by itself; $passed checks had passed"
    finish
  fi
  failed_before=$failed
}

etcd_port=$(free_port) peer_port=$(free_port) api_port=$(free_port)
start_etcd() {
  start etcd "$assets/etcd" --data-dir "$folder/etcd" --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
    --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" --initial-cluster "default=http://127.0.0.1:$peer_port"
}
openssl genrsa -out "$folder/sa.key" 2048 2>/dev/null
echo 'secret-of-admin,admin,1,system:masters' >"$folder/tokens" # TOKEN,USER,UID,GROUP: add to it before start_api
start_api() { # [MORE FLAGS...]: $api is its process
  start api "$assets/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" --cert-dir "$folder/api" --bind-address 127.0.0.1 --secure-port "$api_port" \
    --token-auth-file "$folder/tokens" --authorization-mode RBAC --service-cluster-ip-range 10.0.0.0/24 --service-account-issuer https://kubernetes.default.svc \
    --service-account-signing-key-file "$folder/sa.key" --service-account-key-file "$folder/sa.key" --disable-admission-plugins ServiceAccount,TaintNodesByCondition "$@"
  api=$started
}
api_is_up() { # waits for it; says skipped where it does not come up
  within 60 k get --raw /readyz || { tail -n 20 "$folder/api.log"; skip_all "the API server of \$KUBEBUILDER_ASSETS does not come up"; }
  within 30 k get namespace default || exit 1
}
cat >"$folder/kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$api_port", certificate-authority: api/apiserver.crt}}]
users: [{name: admin, user: {token: secret-of-admin}}]
CONFIG
