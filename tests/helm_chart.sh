#!/usr/bin/env bash
# The Helm chart of deploy/, rendered by helm: for each setting the same objects that `archway admission manifests` prints.
set -uo pipefail
archway=$(realpath "$1")
folder=$(mktemp -d /tmp/archway-helm-XXXXXX)
trap 'rm -rf "$folder"' EXIT
. "$(dirname "$0")/base.sh"
command -v helm >/dev/null || skip_all "helm is needed"
python3 -c 'import yaml' 2>/dev/null || skip_all "python3-yaml is needed"
chart=$tests/../deploy/helm/archway-admission
export HELM_CACHE_HOME=$folder/cache HELM_CONFIG_HOME=$folder/config HELM_DATA_HOME=$folder/data

check "helm lint" helm lint --strict "$chart"
check "the chart packs" helm package "$chart" -d "$folder"

# What both hold, object by object; the namespace is helm's to make.
cat >"$folder/compare.py" <<'PY'
import json, sys, yaml

def objects(path):
    found = {}
    for each in yaml.safe_load_all(open(path)):
        if each and each["kind"] != "Namespace":
            name = each["kind"] + "/" + each["metadata"]["name"]
            assert name not in found, name + " is there twice"
            found[name] = each
    return found

ours, charts = objects(sys.argv[1]), objects(sys.argv[2])
wrong = ["only in the " + side + ": " + name for name in sorted(set(ours) ^ set(charts)) for side in ["manifests" if name in ours else "chart"]]
wrong += [name + ":\n  " + json.dumps(ours[name]) + "\n  " + json.dumps(charts[name]) for name in sorted(set(ours) & set(charts)) if ours[name] != charts[name]]
print("\n".join(wrong) or str(len(ours)) + " objects are the same")
sys.exit(1 if wrong else 0)
PY
namespace=archway-system
same() { # WHAT "HELM'S FLAGS" MANIFESTS' FLAGS...
  local what=$1 flags=$2; shift 2
  says "$what: manifests" 0 "" "$archway" admission manifests --namespace "$namespace" --image docker.io/archway/archway:0.1.0 "$@"
  "$archway" admission manifests --namespace "$namespace" --image docker.io/archway/archway:0.1.0 "$@" >"$folder/ours.yaml"
  eval "helm template archway '$chart' --namespace '$namespace' $flags" >"$folder/chart.yaml" 2>"$folder/said" || { failed=$((failed + 1)); echo "FAILED: $what: helm"; cat "$folder/said"; return; }
  check "$what" python3 "$folder/compare.py" "$folder/ours.yaml" "$folder/chart.yaml"
}
same "as it is" ""
same "another image" "--set image.repository=reg.example:5000/a --set-string image.tag=1.0" --image reg.example:5000/a:1.0
same "a digest" "--set image.repository=reg.example/a --set image.digest=sha256:$(printf '%064d' 1)" --image "reg.example/a@sha256:$(printf '%064d' 1)"
same "its pull secrets" "--set 'image.pullSecrets={one,two}'" --image-pull-secret one --image-pull-secret two
same "replicas" "--set replicas=5" --replicas 5
same "to fail" "--set failurePolicy=Fail" --failure-policy Fail
same "another timeout" "--set timeoutSeconds=3" --timeout-seconds 3
same "namespaces left alone" "--set 'ignoredNamespaces={kube-system,one,one,archway-system,two}'" --ignore-namespace kube-system --ignore-namespace one --ignore-namespace one \
  --ignore-namespace archway-system --ignore-namespace two
same "names like numbers" "--set-json 'ignoredNamespaces=[\"1e3\",\"true\",\"0x1\"]'" --ignore-namespace 1e3 --ignore-namespace true --ignore-namespace 0x1
same "a taint" "--set 'tolerate={arch=arm64:NoSchedule}'" --tolerate arch=arm64:NoSchedule
same "taints of all kinds" "--set 'tolerate={arch=arm64:NoSchedule,dedicated=graviton:NoExecute@arm64,example.com/arm:NoSchedule@linux/arm64}'" --tolerate arch=arm64:NoSchedule \
  --tolerate dedicated=graviton:NoExecute@arm64 --tolerate example.com/arm:NoSchedule@linux/arm64
same "flags" "--set-json 'flags=[\"--on-conflict=deny\",\"--prefer=arm64=10\",\"--node-platforms=linux/amd64,linux/arm64\",\"--mirror=docker.io=https://mirror.example/{a}\"]'" \
  --on-conflict deny --prefer arm64=10 --node-platforms linux/amd64,linux/arm64 --mirror 'docker.io=https://mirror.example/{a}'
same "a priority class" "--set priorityClassName=system-cluster-critical" --priority-class system-cluster-critical
namespace=1234
same "a namespace like a number" ""
same "the same with cert-manager" "--set certManager.enabled=true" --cert-manager
namespace=archway-system
for version in 1.20 1.26 1.27 1.36; do same "for Kubernetes $version" "--kube-version v$version.3-gke.100" --kube-version $version; done
# Every setting of what can be switched.
switches=(certManager.enabled=--cert-manager owners.enabled=--owners gates.enabled=--on-unknown=gate pullSecrets.enabled=--pull-secrets readLogs.enabled=--read-logs)
for ((setting = 0; setting < 32; setting++)); do
  values="" flags=()
  for i in "${!switches[@]}"; do
    ((setting >> i & 1)) && values+=" --set ${switches[i]%%=*}=true" && flags+=("${switches[i]#*=}")
  done
  same "switches${values:- off}" "$values" "${flags[@]}"
done
same "all at once" "--set certManager.enabled=true,owners.enabled=true,gates.enabled=true,pullSecrets.enabled=true,readLogs.enabled=true,replicas=3,priorityClassName=p \
  --set 'ignoredNamespaces={a,b}' --set 'tolerate={arch=arm64:NoSchedule}' --set 'flags={--mode=report}' --set 'image.pullSecrets={s}'" --cert-manager --owners --on-unknown gate --pull-secrets \
  --read-logs --replicas 3 --priority-class p --ignore-namespace a --ignore-namespace b --tolerate arch=arm64:NoSchedule --mode report --image-pull-secret s

says "the webhook's own tolerations come behind" 0 "operator: Exists" helm template archway "$chart" --set-json 'tolerations=[{"operator":"Exists"}]'
says "no gates where there are none" 1 "since Kubernetes 1.27" helm template archway "$chart" --set gates.enabled=true --kube-version 1.26
says "and the manifests refuse them, too" 64 "since Kubernetes 1.27" "$archway" admission manifests --on-unknown gate --kube-version 1.26
says "an older Kubernetes" 64 "too old" "$archway" admission manifests --kube-version 1.19
says "helm refuses an older one, too" 1 "kubeVersion" helm template archway "$chart" --kube-version 1.19
says "a misspelt value" 1 "ignoreNamespaces" helm template archway "$chart" --set 'ignoreNamespaces={a}'
says "a taint without its effect" 1 "tolerate" helm template archway "$chart" --set 'tolerate={arch=arm64}'
says "no replica" 1 "replicas" helm template archway "$chart" --set replicas=0
says "an image that nobody has pushed is told of" 0 "tools/make-image" "$archway" admission manifests
finish
