# Sourced by the tests here: what they count with, and small root file systems to build on.
# A root file system holds Debian's busybox-static with a link per applet; made once, kept in build/test-base.
passed=0 failed=0
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export no_proxy=127.0.0.1,localhost

check() { # WHAT COMMAND...: passes where the command does
  local what=$1; shift
  if "$@" >"$folder/out" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)); echo "FAILED: $what: $*"; tail -n 30 "$folder/out"
  fi
}
says() { # WHAT STATUS WORDS COMMAND...: passes where the command ends with that status and says the words; all it said is in $folder/said
  local what=$1 wanted=$2 words=$3 status=0; shift 3
  "$@" >"$folder/said" 2>&1 || status=$?
  if [ "$status" = "$wanted" ] && { [ -z "$words" ] || grep -qF -- "$words" "$folder/said"; }; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)); echo "FAILED: $what: wanted status $wanted and \"$words\", got $status: $*"; tail -n 30 "$folder/said"
  fi
}
equal() { # WHAT EXPECTED GOT
  if [ "$2" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED: %s:\n  expected %s\n  got      %s\n' "$@"; fi
}
skip_all() { echo "skipped: $*"; exit 0; }
finish() { echo "$passed passed, $failed failed"; [ "$failed" = 0 ]; exit; }

# Starts `archway registry serve` with more FLAGS; $registry is HOST:PORT, $access_log its log, $servers the processes to end.
servers=()
serve() {
  access_log=$folder/access-${#servers[@]}.log
  local said=$folder/address-${#servers[@]} number=${#servers[@]}
  "$archway" registry serve --root "$folder/registry-$number" --listen 127.0.0.1:0 --access-log "$access_log" "$@" >"$said" 2>"$folder/serve-$number.err" &
  servers+=($!)
  until [ -s "$said" ]; do kill -0 "${servers[-1]}" || { cat "$folder/serve-$number.err"; exit 1; }; sleep 0.02; done
  registry=$(sed -n '1s|listening on http://||p' "$said")
}
stop_servers() {
  local one
  for one in "${servers[@]}"; do kill "$one" 2>/dev/null && wait "$one" 2>/dev/null; done
  servers=()
}

root_filesystem() ( # ARCHITECTURE TAR; in a subshell
  set -e
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  mkdir -p apt/lists/partial apt/archives/partial root
  : >apt/status
  apt=(apt-get -qq -oAPT::Architecture="$1" -oAPT::Architectures="$1" -oDir::State="$work/apt" -oDir::State::status="$work/apt/status"
    -oDir::Cache="$work/apt" -oAPT::Sandbox::User=root)
  "${apt[@]}" update >/dev/null
  "${apt[@]}" download busybox-static >/dev/null
  dpkg-deb -x busybox-static_*_"$1".deb package
  mkdir -p root/{bin,etc,dev,proc,root,sys,tmp,usr/bin,var}
  chmod 1777 root/tmp
  cp package/bin/busybox root/bin/busybox
  local applet
  for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"; done
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >root/etc/passwd
  printf 'root:x:0:\nnogroup:x:65534:\n' >root/etc/group
  tar -C root --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$2.part" .
  mv "$2.part" "$2"
)
# Puts rootfs-amd64.tar and rootfs-arm64.tar into the folder, which becomes a context for examples/debian-python.
root_filesystems() { # FOLDER
  local cache=$tests/../build/test-base arch
  command -v busybox >/dev/null && command -v dpkg-deb >/dev/null || skip_all "no base image to build on (busybox and dpkg-deb are needed)"
  mkdir -p "$cache" "$1"
  cache=$(cd "$cache" && pwd)
  for arch in amd64 arm64; do
    [ -e "$cache/rootfs-$arch.tar" ] || root_filesystem $arch "$cache/rootfs-$arch.tar" || skip_all "no base image to build on (Debian's package mirror does not answer)"
    cp "$cache/rootfs-$arch.tar" "$1/"
  done
}
