#!/bin/bash
# One Dockerfile for two processors, end to end: a base out of examples/debian-python, a program upon it, pushed, pulled and run,
# as root and as ordinary users with and without subordinate ids; the same bytes each time.
#     tests/sample.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
folder=$(mktemp -d /tmp/archway-sample-XXXXXX)
chmod 755 "$folder"
user=archway-test-$$ alone=archway-alone-$$
end() {
  stop_servers
  [ "$(id -u)" = 0 ] && for one in $user $alone; do id "$one" >/dev/null 2>&1 && userdel "$one"; done
  rm -rf "$folder"
}
trap end EXIT
root_filesystems "$folder/base"
cp "$tests/../examples/debian-python/Dockerfile" "$folder/base/"
mkdir -p "$folder/program"
cat >"$folder/program/Dockerfile" <<'END'
ARG BASE=base
FROM --platform=$BUILDPLATFORM ${BASE} AS made-once
RUN head -c 4096 /dev/urandom > /random; uname -m > /made-on
FROM ${BASE}
COPY --from=made-once /random /made-on /app/
COPY --chmod=755 hello.sh /app/
RUN uname -m > /app/built-on.txt && id -u > /app/user.txt
ENTRYPOINT ["/app/hello.sh"]
CMD ["world"]
END
printf '#!/bin/sh\necho "hello $1 from $(uname -m), built on $(cat /app/built-on.txt)"\nexit ${STATUS:-0}\n' >"$folder/program/hello.sh"
# Of a file's bits and times only what a checkout has may matter.
chmod 644 "$folder/program/hello.sh"
export SOURCE_DATE_EPOCH=1700000000 DOCKER_CONFIG=$folder/no-config
platforms=linux/amd64,linux/arm64
host=$(uname -m)

serve
blobs_sent() { grep -E ' (POST|PUT|PATCH) .*/blobs/' "$access_log" | grep -vc ' in=0 '; }
# WHO WHAT COMMAND...: runs archway as root ("root") or as a user, each with a cache of its own.
as() {
  local who=$1; shift
  if [ "$who" = root ]; then ARCHWAY_ROOT=$folder/state-root "$archway" "$@"; return; fi
  if [ "$who" = myself ]; then ARCHWAY_ROOT=$folder/state-myself "$archway" "$@"; return; fi
  setpriv --reuid "$who" --regid "$who" --clear-groups env HOME="$folder/home-$who" ARCHWAY_ROOT="$folder/home-$who/state" DOCKER_CONFIG="$DOCKER_CONFIG" \
    SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-}" "$archway" "$@"
}
manifest() { # DIGEST REPOSITORY: its bytes
  curl -sSf -H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json' "http://$registry/v2/$2/manifests/$1"
}
image_of() { manifest "$1" "$2" | python3 -c 'import json,sys; print(next(m["digest"] for m in json.load(sys.stdin)["manifests"] if m["platform"]["architecture"]=="'"$3"'"))'; }
layers_of() { manifest "$1" "$2" | python3 -c 'import json,sys; [print(l["digest"]) for l in json.load(sys.stdin)["layers"]]'; }
file_in() { curl -sSf "http://$registry/v2/$2/blobs/$1" | tar -xzO "$3"; } # LAYER REPOSITORY PATH

build_both() { # WHO: builds and pushes base and program; the digests go to $base_digest and $digest
  local who=$1
  base_digest=$(as "$who" build -q --platform $platforms -t "$registry/$who/base:1" --push "$folder/base") || { failed=$((failed + 1)); echo "FAILED: $who builds the base"; return 1; }
  digest=$(as "$who" build -q --platform $platforms --build-arg "BASE=$registry/$who/base:1" -t "$registry/$who/program:1" --push "$folder/program") ||
    { failed=$((failed + 1)); echo "FAILED: $who builds the program"; return 1; }
}
check_runs() { # WHO
  local who=$1 machine platform
  for platform in arm64:aarch64 amd64:x86_64; do
    machine=${platform#*:}
    equal "$who runs linux/${platform%:*}" "hello world from $machine, built on $machine" "$(as "$who" run --platform "linux/${platform%:*}" "$registry/$who/program:1" 2>&1)"
  done
}

me=root
[ "$(id -u)" = 0 ] || me=myself
build_both $me || finish
root_base=$base_digest root_digest=$digest
check_runs $me

# What is in the images.
amd64=$(image_of "$digest" $me/program amd64) arm64=$(image_of "$digest" $me/program arm64)
layers_of "$arm64" $me/program >"$folder/arm64"
layers_of "$amd64" $me/program >"$folder/amd64"
equal "four layers" 4 "$(wc -l <"$folder/arm64")"
equal "RUN on arm64 wrote aarch64" aarch64 "$(file_in "$(sed -n 4p "$folder/arm64")" $me/program app/built-on.txt)"
equal "RUN on amd64 wrote x86_64" x86_64 "$(file_in "$(sed -n 4p "$folder/amd64")" $me/program app/built-on.txt)"
equal "what was made once for both is one layer" "$(sed -n 2p "$folder/amd64")" "$(sed -n 2p "$folder/arm64")"
equal "and was made on this machine" "$host" "$(file_in "$(sed -n 2p "$folder/arm64")" $me/program app/made-on)"
check "inspect names both platforms" bash -c "'$archway' inspect '$registry/$me/program:1' | grep -c '^linux/a[mr][dm]64 ' | grep -qx 2"

# Again: nothing runs, nothing changes, nothing is sent.
rebuild() { as $me build --progress plain --platform $platforms --build-arg "BASE=$registry/$me/base:1" -t "$registry/$me/program:1" --push "$@" "$folder/program" 2>"$folder/progress"; }
sent=$(blobs_sent)
equal "an unchanged rebuild has the same digest" "$digest" "$(rebuild)"
equal "both RUNs for each platform come from the cache" 3 "$(grep -A1 -E '^#[0-9]+ .*RUN ' "$folder/progress" >"$folder/runs"; grep -E '^#[0-9]+ .*RUN ' "$folder/progress" | cut -d' ' -f1 | while read -r number; do grep -x "$number CACHED" "$folder/progress"; done | wc -l)"
equal "a second push sends no blob" "$sent" "$(blobs_sent)"
: "$(rebuild --no-cache)"
equal "--no-cache runs again" 0 "$(grep -c CACHED "$folder/progress")"
check "and prints what the steps print" grep -qE '^#[0-9]+ .*RUN ' "$folder/progress"
( unset SOURCE_DATE_EPOCH
  first=$(rebuild)
  second=$(rebuild)
  equal "an unchanged rebuild without SOURCE_DATE_EPOCH" "$first" "$second"
  check "runs nothing" grep -q CACHED "$folder/progress"
  echo "$passed $failed" >"$folder/counts" )
read -r passed failed <"$folder/counts"

# A failing step: its output and its line, and nothing pushed.
mkdir -p "$folder/broken"
printf 'ARG BASE\nFROM ${BASE}\nRUN echo about to fail; exit 7\n' >"$folder/broken/Dockerfile"
says "a failing RUN" 2 "about to fail" as $me build --progress plain --platform $platforms --build-arg "BASE=$registry/$me/base:1" -t "$registry/$me/broken:1" --push "$folder/broken"
check "is told with its line" grep -q 'Dockerfile:3' "$folder/said"
says "and was not pushed" 2 broken "$archway" inspect "$registry/$me/broken:1"

# Exit statuses of run, as docker's.
run() { as $me run "$@"; }
says "the program's own status" 42 "hello" run -e STATUS=42 "$registry/$me/program:1"
says "the program's own status when emulated" 42 "aarch64" run --platform linux/arm64 -e STATUS=42 "$registry/$me/program:1"
says "no such program" 127 "absent" run --entrypoint /bin/absent "$registry/$me/program:1"
says "no such program in PATH" 127 "absent" run --entrypoint absent "$registry/$me/program:1"
says "a program that is not executable" 126 "/etc/passwd" run --entrypoint /etc/passwd "$registry/$me/program:1"
says "a folder as program" 126 "/etc" run --entrypoint /etc "$registry/$me/program:1"
says "no such image" 125 "absent" run "$registry/absent:1"
says "no such platform" 125 "linux/s390x" run --platform linux/s390x "$registry/$me/program:1"
says "a working directory that is not absolute" 64 "absolute" run -w here "$registry/$me/program:1"
says "no such volume" 125 "/absent" run -v /absent:/mnt "$registry/$me/program:1"
says "no such user" 125 "nobody-here" run -u nobody-here "$registry/$me/program:1"
says "arguments and user" 0 "hello you from" run -u nobody "$registry/$me/program:1" you
says "a volume and a working directory" 0 "Dockerfile" run -v "$folder/program:/mnt:ro" -w /mnt --entrypoint ls "$registry/$me/program:1"
says "what is written to a read-only volume" 1 "Read-only" run -v "$folder/program:/mnt:ro" --entrypoint touch "$registry/$me/program:1" /mnt/x
says "what one run wrote" 0 "absent" run --entrypoint /bin/sh "$registry/$me/program:1" -c 'test -e /left || echo absent; touch /left'
says "is not there for the next" 0 "absent" run --entrypoint /bin/sh "$registry/$me/program:1" -c 'test -e /left || echo absent'
says "standard input with -i" 0 "from a pipe" bash -c "echo from a pipe | ARCHWAY_ROOT='$folder/state-$me' '$archway' run -i --entrypoint cat '$registry/$me/program:1'"
says "and none without" 0 "" bash -c "echo from a pipe | ARCHWAY_ROOT='$folder/state-$me' '$archway' run --entrypoint cat '$registry/$me/program:1'"
check "at all" test ! -s "$folder/said"
if command -v script >/dev/null; then
  says "a terminal with -it" 5 "is a terminal" script -qec "ARCHWAY_ROOT='$folder/state-$me' '$archway' run -it --entrypoint /bin/sh '$registry/$me/program:1' -c 'test -t 0 && test -t 1 && echo is a terminal; exit 5'" /dev/null
fi

# What the machine's settings are is not for the image to know.
if [ $me = root ]; then
  printf 'ARG BASE\nFROM ${BASE}\nCOPY hello.sh /new/folder/\nWORKDIR /work\nUSER nobody\nRUN touch /tmp/by-nobody\n' >"$folder/program/umask.Dockerfile"
  closed() { "$archway" build -q --platform $platforms -f "$folder/program/umask.Dockerfile" --build-arg "BASE=$registry/$me/base:1" "$folder/program"; }
  equal "umask, time zone and environment change nothing" "$(ARCHWAY_ROOT=$folder/state-open closed)" \
    "$(umask 077; export TZ=Asia/Kathmandu SOME=thing ARCHWAY_ROOT=$folder/state-closed; closed)"
fi

# The network in RUN is the host's.
resolv=$(sha256sum </etc/resolv.conf | cut -d' ' -f1)
network_check() { # WHO
  local who=$1
  mkdir -p "$folder/network"
  printf 'ARG BASE\nFROM ${BASE}\nARG SERVER SUM\nRUN cat /etc/resolv.conf | sha256sum | grep -q "^${SUM} "\nRUN wget -qO- http://${SERVER}/v2/_catalog | grep -q repositories\nRUN --network=none ! wget -T 3 -qO- http://${SERVER}/v2/_catalog\nRUN grep -q localhost /etc/hosts\n' >"$folder/network/Dockerfile"
  check "$who: resolv.conf is the host's, loopback is reached, and with --network=none is not" \
    as "$who" build --progress plain --no-cache --platform $platforms --build-arg "BASE=$registry/$me/base:1" --build-arg "SERVER=$registry" --build-arg "SUM=$resolv" "$folder/network"
}
network_check $me
says "run reaches the host's loopback" 0 repositories run --entrypoint wget "$registry/$me/program:1" -qO- "http://$registry/v2/_catalog"
says "run --network none does not" 0 unreachable run --network none --entrypoint /bin/sh "$registry/$me/program:1" -c "wget -T 3 -qO- http://$registry/v2/_catalog || echo unreachable"

# Ordinary users.
ordinary() { # WHO
  mkdir -p "$folder/home-$1"
  chown "$1:$1" "$folder/home-$1"
  build_both "$1" || return
  equal "$1 makes the same base as root" "$root_base" "$base_digest"
  check_runs "$1"
  says "$1: no such program" 127 "absent" as "$1" run --entrypoint /bin/absent "$registry/$1/program:1"
  network_check "$1"
  says "$1 sees its cache" 0 "Total: " as "$1" cache du
  says "$1 empties its cache" 0 "Reclaimed: " as "$1" cache prune --all
  # Without what was random: the whole program, not the base only, is to be equal.
  local same
  same=$(as "$1" build -q --platform $platforms --target steady --build-arg "BASE=$registry/$1/base:1" -t "$registry/$1/steady:1" --push "$folder/steady")
  equal "$1 makes the same image as root" "$steady" "$same"
}
mkdir -p "$folder/steady"
sed -e '/made-once/d' -e '/urandom/d' -e 's/^FROM ${BASE}$/FROM ${BASE} AS steady/' "$folder/program/Dockerfile" | sed -e '/^RUN/s/$/ \&\& mkdir -p -m 1777 \/var\/spool \&\& rm -rf \/tmp\/x \&\& ln -s a \/app\/link/' >"$folder/steady/Dockerfile"
cp "$folder/program/hello.sh" "$folder/steady/"
steady=$(as $me build -q --platform $platforms --target steady --build-arg "BASE=$registry/$me/base:1" -t "$registry/$me/steady:1" --push "$folder/steady")
if [ "$(id -u)" = 0 ]; then
  useradd --no-create-home --shell /bin/sh "$user"
  grep -q "^$user:" /etc/subuid || usermod --add-subuids 700000-765535 --add-subgids 700000-765535 "$user"
  useradd --no-create-home --shell /bin/sh "$alone"
  for file in /etc/subuid /etc/subgid; do sed -i "/^$alone:/d" $file; done
  cp "$archway" "$folder/archway"  # the checkout may be in a folder that is root's alone
  chmod 755 "$folder/archway"
  archway=$folder/archway
  ordinary "$user"
  ordinary "$alone"
else
  echo "without root: not tried as other users"
fi

# The cache.
says "cache du" 0 "Total: " as $me cache du
check "cache du --json parses and has layers" bash -c "ARCHWAY_ROOT='$folder/state-$me' '$archway' cache du --json | python3 -c 'import json,sys; j=json.load(sys.stdin); assert j[\"layers\"] and j[\"total_bytes\"]>0'"
says "cache prune keeps what is to be kept" 0 "Reclaimed: 0 B" as $me cache prune --keep-storage 10GB
says "cache prune --all" 0 "Reclaimed: " as $me cache prune --all
check "leaves nothing" bash -c "ARCHWAY_ROOT='$folder/state-$me' '$archway' cache du --json | python3 -c 'import json,sys; j=json.load(sys.stdin); assert not j[\"layers\"] and j[\"total_bytes\"]==0'"
equal "and the same comes out of an empty cache" "$steady" "$(as $me build -q --platform $platforms --target steady --build-arg "BASE=$registry/$me/base:1" "$folder/steady")"
check "nothing stays mounted" bash -c "! grep -q '$folder' /proc/mounts"
finish
