#!/bin/bash
# RUN --mount of every type in real containers: what a program sees, what stays for the next build, and what gets nowhere.
#     tests/run_mounts.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
folder=$(mktemp -d /tmp/archway-mounts-XXXXXX)
chmod 755 "$folder"
user=archway-mounts-$$ agent=
end() {
  [ -n "$agent" ] && kill "$agent" 2>/dev/null
  [ "$(id -u)" = 0 ] && id "$user" >/dev/null 2>&1 && userdel "$user"
  rm -rf "$folder"
}
trap end EXIT
root_filesystems "$folder/base"
export ARCHWAY_ROOT=$folder/state DOCKER_CONFIG=$folder/no-config
printf 'FROM scratch\nARG TARGETARCH\nADD rootfs-${TARGETARCH}.tar /\n' >"$folder/base/Dockerfile"
"$archway" build -q --platform linux/amd64,linux/arm64 -o "type=oci,dest=$folder/layout,tar=false" "$folder/base" >/dev/null || { echo "FAILED: the base"; exit 1; }
case $(uname -m) in x86_64) native=linux/amd64 ;; *) native=linux/arm64 ;; esac
context=$folder/context
mkdir -p "$context"

# Its standard input becomes the context's Dockerfile, behind a FROM.
dockerfile() { { echo 'FROM base'; cat; } >"$context/Dockerfile"; }
build() { "$archway" build --progress plain --platform "${platforms:-$native}" --build-context "base=oci-layout://$folder/layout" -o "type=oci,dest=$folder/out.tar" "$@" "$context"; }
# The names in the last image's own layers, of all platforms.
names() {
  rm -rf "$folder/image" && mkdir "$folder/image" && tar -C "$folder/image" -xf "$folder/out.tar"
  python3 - "$folder/image" <<'END'
import json, pathlib, sys, tarfile
top = pathlib.Path(sys.argv[1])
blobs, layers = top / "blobs" / "sha256", set()
def walk(digest):
    body = json.loads((blobs / digest.split(":")[1]).read_bytes())
    for one in body.get("manifests", []): walk(one["digest"])
    layers.update(layer["digest"] for layer in body.get("layers", [])[1:])
for one in json.loads((top / "index.json").read_text())["manifests"]: walk(one["digest"])
print(" ".join(sorted({member.name for layer in layers for member in tarfile.open(blobs / layer.split(":")[1])})))
END
}
cached() { grep -c '^#[0-9]* CACHED' "$folder/said"; }
said() { check "$1" grep -qE -- "$2" "$folder/said"; }

# --- bind, from the context
mkdir -p "$context/src/deep" "$context/other"
echo one >"$context/src/file"; echo two >"$context/src/deep/file"; echo left out >"$context/src/ignored"; echo 1 >"$context/other/file"
ln -s src/deep "$context/link"; chmod 640 "$context/src/file"; touch -d '2001-02-03 04:05:06.789' "$context/src/file"
printf 'src/ignored\n' >"$context/.dockerignore"
dockerfile <<'END'
RUN --mount=target=/mnt/context cat /mnt/context/link/file && ls /mnt/context/src && ! test -e /mnt/context/src/ignored
RUN --mount=type=bind,source=src/file,target=/etc/one-file cat /etc/one-file && stat -c 'is %a %u:%g %y' /etc/one-file
RUN --mount=source=/src,target=/mnt/src ! touch /mnt/src/new && ! sh -c 'echo x > /mnt/src/file'
RUN --mount=source=src,target=/mnt/src,rw echo changed > /mnt/src/file && touch /mnt/src/new && rm -r /mnt/src/deep && ls /mnt/src
RUN --mount=source=link,target=/mnt/link cat /mnt/link/file && test "$(grep -c /mnt/link /proc/mounts)" = 1
WORKDIR /here
RUN --mount=target=. test -f /here/Dockerfile && pwd
RUN --mount=target=/mnt/a --mount=source=src,target=/mnt/a/inner/mount --mount=type=cache,target=/mnt/a/inner/cache cat /mnt/a/inner/mount/file && touch /mnt/a/inner/cache/x
RUN --mount=target=/stub/a touch /stub/x && rm /stub/x
RUN --mount=target=/kept/a touch /kept/x
RUN test ! -e /mnt && test ! -e /etc/one-file && test ! -e /stub && test -e /kept/x && test ! -e /kept/a && test -z "$(ls -A /here)"
END
says "binds of the context" 0 "" build
said "follow symlinks inside" ' two$'
said "of one file, with its mode and time, and root's" 'is 640 0:0 2001-02-03 04:05:06.789'
said "read-only by default" 'Read-only file system'
said "rw can be written" ' new$'
equal "what was written is not in the context" one "$(cat "$context/src/file")"
equal "nor is anything of it in the layers" "here kept kept/x" "$(names)"
says "again" 0 "" build
equal "all is cached" 11 "$(cached)"

# What a RUN can see is what it depends on.
dockerfile <<'END'
RUN --mount=source=src,target=/mnt cat /mnt/file
END
says "a mounted folder" 0 " one" build
echo 2 >"$context/other/file"
says "a change outside of it" 0 "CACHED" build
echo changed >"$context/src/ignored"
says "a change of what is ignored" 0 "CACHED" build
touch "$context/src/file"
says "a new time alone" 0 "CACHED" build
echo three >"$context/src/file"
says "a change inside" 0 " three" build
rm -r "$context/src/deep"; echo now a file >"$context/src/deep"; chmod 755 "$context/src/file"
dockerfile <<'END'
RUN --mount=source=src,target=/mnt cat /mnt/deep && stat -c %a /mnt/file
END
says "a folder that has become a file" 0 "now a file" build
said "with the new mode of its neighbour" ' 755$'
rm "$context/src/deep"
dockerfile <<'END'
RUN --mount=source=src,target=/mnt ls /mnt | wc -l
END
says "a file that has gone" 0 " 1" build

# A copy of the context that a kill left half-made is not what the next build sees.
copy=$(dirname "$(find "$ARCHWAY_ROOT/mounts" -path '*/data/file' -size -2 | head -1)")
check "the copy is in the store" test -d "$copy"
for one in "$ARCHWAY_ROOT"/mounts/*/*/data; do rm -f "${one%/data}/version"; echo half >"$one/file"; echo stray >"$one/stray"; done
dockerfile <<'END'
RUN --mount=source=src,target=/mnt cat /mnt/file && test ! -e /mnt/stray
END
says "after a kill in the middle of copying" 0 " three" build

# --- bind, from states
mkdir -p "$folder/named/inner"; echo from a named context >"$folder/named/inner/file"
cat >"$context/Dockerfile" <<'END'
FROM base AS maker
RUN mkdir -p /data/real && echo from the maker > /data/real/file && ln -s /data/real /via
FROM base AS other
RUN --mount=type=bind,from=maker,source=/,target=/maker,rw echo more > /maker/data/real/more && cat /maker/data/real/file
FROM other
RUN --mount=from=maker,source=via,target=/deep/down cat /deep/down/file && test ! -e /deep/down/more && ! touch /deep/down/x
RUN --mount=from=0,source=/via/file,target=/a-file cat /a-file
RUN --mount=from=base,source=bin/busybox,target=/elsewhere/echo /elsewhere/echo from an image
RUN --mount=from=named,source=inner,target=/named cat /named/file
RUN --mount=from=scratch,target=/none test -z "$(ls /none)"
RUN test ! -e /deep && test ! -e /maker && test ! -e /named && test ! -e /none && test ! -e /elsewhere
END
says "binds of stages, images and named contexts" 0 "" build --build-context "named=$folder/named"
for words in "from the maker" "from an image" "from a named context"; do said "$words" "$words"; done
equal "leave nothing in the layers" "" "$(names)"
sed -i 's/from the maker/from another maker/' "$context/Dockerfile"
says "another stage behind the mount" 0 "from another maker" build --build-context "named=$folder/named"

refused() { # WHAT WORDS LINES...: a Dockerfile that is refused with file, line and words
  local what=$1 words=$2; shift 2
  printf '%s\n' "$@" | dockerfile
  says "$what" 2 "$words" build
  said "$what: with its line" '^archway: Dockerfile:2:1: '
}
refused "a mount over the root" 'invalid mount target "/"' 'RUN --mount=target=/ true'
refused "no target in the root folder" 'invalid mount target' 'RUN --mount=type=tmpfs true'
refused "an unknown type" 'did you mean tmpfs?' 'RUN --mount=type=tmp,target=/x true'
refused "an absent source" '"/absent": not found' 'RUN --mount=source=absent,target=/x true'
refused "an absent source in an image" '"/absent": not found' 'RUN --mount=from=base,source=absent,target=/x true'
refused "a stage that comes later" 'stage needs to be defined before current command' 'RUN --mount=from=later,target=/x true' 'FROM base AS later' 'COPY --from=0 / /'
refused "a secret that is required" 'secret token: not found' 'RUN --mount=type=secret,id=token,required true'
said "and how to give it" '^hint: .*--secret id=token,src='
refused "an agent that is required" 'no ssh-agent "default"' 'RUN --mount=type=ssh,required true'
said "and how to give it" '^hint: .*--ssh default'
refused "--security=insecure" 'RUN --security=insecure is not supported' 'RUN --security=insecure true'
printf 'FROM base\nRUN --mount=from=$stage,target=/x true\n' >"$context/Dockerfile"
says "a variable in from" 2 "doesn't support variable expansion" build

# --- cache
dockerfile <<'END'
ARG RUN_NUMBER
RUN --mount=type=cache,target=/var/cache/x echo "line ${RUN_NUMBER}" >> /var/cache/x/log && cat /var/cache/x/log && stat -c 'owner %u:%g %a' /var/cache/x
RUN --mount=type=cache,target=/var/cache/y test ! -e /var/cache/y/log
RUN --mount=type=cache,id=/var/cache/x,target=/elsewhere,ro cat /elsewhere/log && ! touch /elsewhere/new
RUN --mount=type=cache,target=/var/cache/x,uid=1001,gid=1002,mode=0751 stat -c 'owner %u:%g %a' /var/cache/x && test ! -e /var/cache/x/log
END
says "a cache" 0 " line 1" build --build-arg RUN_NUMBER=1
said "is root's, 755" 'owner 0:0 755'
said "or whose the Dockerfile says" 'owner 1001:1002 751'
says "the next build" 0 " line 2" build --build-arg RUN_NUMBER=2
said "finds what the last one left" ' line 1$'
equal "nothing of it is in a layer" "" "$(names)"
says "cache du" 0 "cache mount /var/cache/x" "$archway" cache du
dockerfile <<'END'
RUN --mount=type=cache,id=failing,target=/c echo kept > /c/kept && exit 3
END
says "a failing RUN" 2 "exit code: 3" build
cat >"$context/Dockerfile" <<'END'
FROM base AS begin
RUN mkdir -p /seed/x && echo seed > /seed/x/file && chown -R 3:4 /seed/x
FROM base
RUN --mount=type=cache,id=failing,target=/c cat /c/kept
RUN --mount=type=cache,id=seeded,from=begin,source=/seed,target=/c cat /c/x/file && echo more > /c/x/more && stat -c 'seed of %u:%g' /c/x/file
RUN --mount=type=cache,id=seeded,from=begin,source=/seed,target=/d cat /d/x/more
RUN --mount=type=cache,id=failing,target=/c mkdir -p /c/sub && ln -s /etc /c/out && echo in the cache > /c/sub/file
RUN --mount=type=cache,id=failing,source=sub,target=/c cat /c/file
END
says "what it left, and a cache that begins with a stage's files" 0 " kept" build
said "are there" ' more$'
said "with their owners" 'seed of 3:4'
said "and so is a part of a cache" 'in the cache'
dockerfile <<'END'
RUN --mount=type=cache,id=failing,source=out,target=/c ls /c
END
says "a symlink that leads out of a cache" 2 '"/out": not found' build

# Locked: one at a time, in one build and between processes. Each adds to a number, slowly.
for i in 1 2 3; do printf 'FROM base AS s%s\nARG NUMBER\nRUN --mount=type=cache,id=counter,target=/c,sharing=locked n=$(cat /c/n 2>/dev/null || echo 0); sleep 0.3; echo $((n + 1)) > /c/n; touch /done-%s\n' $i $i; done >"$context/Dockerfile"
printf 'FROM base\nCOPY --from=s1 /done-1 /\nCOPY --from=s2 /done-2 /\nCOPY --from=s3 /done-3 /\n' >>"$context/Dockerfile"
"$archway" build -q --platform "$native" --build-context "base=oci-layout://$folder/layout" --build-arg NUMBER=1 "$context" >"$folder/first" 2>&1 &
first=$!
says "two builds of three stages" 0 "" build --build-arg NUMBER=2
check "that share a locked cache" wait $first
dockerfile <<'END'
RUN --mount=type=cache,id=counter,target=/c cat /c/n
END
says "counted one after the other" 0 " 6" build --no-cache
# Private: whoever comes second gets another.
printf 'FROM base AS a\nRUN --mount=type=cache,id=p,target=/c,sharing=private touch /c/here; sleep 1; ls /c | wc -l > /a\nFROM base AS b\nRUN --mount=type=cache,id=p,target=/c,sharing=private sleep 0.3; touch /c/there; ls /c | wc -l > /b; sleep 1\nFROM base\nCOPY --from=a /a /\nCOPY --from=b /b /\nRUN cat /a /b\n' >"$context/Dockerfile"
says "private caches" 0 "" build
equal "are each one's own" 2 "$(grep -cE '^#[0-9]+ [0-9.]+ 1$' "$folder/said")"

# Killed in the middle, a cache is free again, and usable.
dockerfile <<'END'
RUN --mount=type=cache,id=counter,target=/c,sharing=locked echo begun; sleep 300
END
"$archway" build --progress plain --platform "$native" --build-context "base=oci-layout://$folder/layout" "$context" >"$folder/killed" 2>&1 &
pid=$!
for _ in $(seq 300); do grep -q '^#[0-9]* [0-9.]* begun' "$folder/killed" && break; sleep 0.1; done
said=$(ARCHWAY_ROOT=$ARCHWAY_ROOT timeout 5 "$archway" cache du --json | grep -c '"kind": "cache"')
check "du tells of caches in use" test "$said" -gt 2
kill -9 $pid
wait $pid 2>/dev/null
dockerfile <<'END'
RUN --mount=type=cache,id=counter,target=/c,sharing=locked cat /c/n && echo it works
END
says "after a kill" 0 "it works" timeout 60 "$archway" build --progress plain --platform "$native" --build-context "base=oci-layout://$folder/layout" "$context"

# --- tmpfs
dockerfile <<'END'
RUN --mount=type=tmpfs,target=/fast,size=2m df -k /fast | tail -1 && stat -c 'mode %a' /fast && touch /fast/x
RUN --mount=type=tmpfs,target=/root --mount=type=tmpfs,target=/dev/shm,size=128m stat -c 'covered %a' /root && mount | grep /dev/shm
RUN --mount=type=tmpfs,target=/fast,size=1m ! dd if=/dev/zero of=/fast/x bs=64k count=32
END
says "tmpfs" 0 "mode 1777" build
said "has its size" ' tmpfs +2048 '
said "and the mode of what it covers" 'covered 755'
said "also over /dev/shm" 'size=131072k'
equal "leaves nothing" "" "$(names)"

# --- secret
secret=correct-horse-battery-$RANDOM$RANDOM
printf '%s\nsecond line\n' "$secret" >"$folder/secret-file"; chmod 600 "$folder/secret-file"
export SECRET_VARIABLE=$secret-from-variable
dockerfile <<'END'
RUN --mount=type=secret,id=file grep -q 'second line' /run/secrets/file && stat -c 'secret %u:%g %a' /run/secrets/file && sha256sum < /run/secrets/file
RUN --mount=type=secret,id=file,target=/root/.token,mode=0440,uid=7,gid=8 stat -c 'secret %u:%g %a' /root/.token && ! sh -c 'echo x >> /root/.token'
RUN --mount=type=secret,id=variable,env=TOKEN test "${TOKEN%-from-variable}" != "$TOKEN" && test ! -e /run
ENV TOKEN=before
RUN --mount=type=secret,id=variable,env=TOKEN,target=/t test "$TOKEN" = "$(cat /t)"
RUN --mount=type=secret,id=not-given test ! -e /run/secrets/not-given
RUN --mount=type=secret,target=token cat /token | wc -c
RUN test ! -e /run && test ! -e /root/.token && test "$TOKEN" = before
END
give=(--secret "id=file,src=$folder/secret-file" --secret type=env,id=variable,env=SECRET_VARIABLE --secret "type=file,id=token,source=$folder/secret-file")
says "secrets" 0 "secret 0:0 400" build "${give[@]}"
said "with an owner and a mode" 'secret 7:8 440'
said "whole" "$(sha256sum <"$folder/secret-file" | cut -d' ' -f1)"
equal "leave nothing in the layers" "" "$(names)"
equal "are nowhere in the store, nor in what was said" "" "$(grep -rlF "$secret" "$ARCHWAY_ROOT" "$folder/said" "$folder/image")"
equal "nor in a layer" "" "$(find "$ARCHWAY_ROOT/blobs" -type f -exec sh -c 'zcat -f "$1" | grep -qF "$2" && echo "$1"' _ {} "$secret" \;)"
equal "nor in base64" "" "$(grep -rlF "$(printf %s "$secret" | base64 -w0 | cut -c1-24)" "$ARCHWAY_ROOT")"
printf 'changed' >"$folder/secret-file"
says "another content" 0 "" build "${give[@]}"
equal "changes nothing" 7 "$(cached)"
printf by-name >"$folder/token-by-name"
dockerfile <<'END'
RUN --mount=type=secret,id=token-by-name cat /run/secrets/token-by-name
END
check "a secret's file is looked for by its id" bash -c "cd '$folder' && '$archway' build --progress plain --platform $native --build-context 'base=oci-layout://$folder/layout' --secret id=token-by-name '$context' 2>&1 | grep by-name\$"
head -c 512001 /dev/zero >"$folder/large"
says "a secret that is too large" 64 "larger than 500 KiB" build --secret "id=x,src=$folder/large"
head -c 512000 /dev/zero >"$folder/large"
dockerfile <<'END'
RUN --mount=type=secret,id=x wc -c < /run/secrets/x
END
says "and one that just is not" 0 " 512000" build --secret "id=x,src=$folder/large"
says "a secret's file that is absent" 2 "absent" build --secret "id=x,src=$folder/absent"
says "a secret without an id" 64 "needs an id" build --secret "src=$folder/large"
says "a secret of no such type" 64 "type is file or env" build --secret id=x,type=magic
says "an unknown field" 64 "there is id, src, env and type" build --secret id=x,scr=y
dockerfile <<'END'
RUN --mount=type=secret,id=x,env=X true
END
printf 'binary \377 %s' "$secret" >"$folder/binary"
says "a secret that is no text, as a variable" 2 "secret x is not text (UTF-8) and cannot be the variable X" build --secret "id=x,src=$folder/binary"
check "is not shown" bash -c "! grep -qF '$secret' '$folder/said'"

# --- ssh
if command -v ssh-agent >/dev/null; then
  eval "$(ssh-agent -a "$folder/agent")" >/dev/null; agent=$SSH_AGENT_PID
  dockerfile <<'END'
RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo "socket $SSH_AUTH_SOCK $(stat -c '%u:%g %a' $SSH_AUTH_SOCK)"
RUN --mount=type=ssh,mode=0741,uid=100,gid=102,target=/run/other.sock stat -c 'socket %u:%g %a' /run/other.sock
RUN --mount=type=ssh,id=absent test ! -S "$SSH_AUTH_SOCK"
RUN test -z "$SSH_AUTH_SOCK" && test ! -e /run
END
  export SSH_AUTH_SOCK=$folder/agent
  says "an agent" 0 "socket /run/buildkit/ssh_agent.0 0:0 600" build --ssh default
  said "with an owner and a mode" 'socket 100:102 741'
  equal "leaves nothing in the layers" "" "$(names)"
  unset SSH_AUTH_SOCK
  says "an agent by its socket" 0 "CACHED" build --ssh "default=$folder/agent"
else
  echo "not tried: an ssh-agent (openssh-client is absent)"
fi
says "no agent" 64 "SSH_AUTH_SOCK is not set" env -u SSH_AUTH_SOCK "$archway" build --ssh default "$context"
says "a key in place of an agent" 64 "ssh-add $folder/binary" build --ssh "default=$folder/binary"
says "an absent socket" 2 "absent" build --ssh "x=$folder/absent"

# --- Both processors at once, on one cache.
dockerfile <<'END'
ARG TARGETARCH
RUN --mount=type=cache,id=both,target=/c --mount=target=/context --mount=type=secret,id=variable --mount=type=tmpfs,target=/t \
    for i in 1 2 3 4 5 6 7 8 9; do echo $TARGETARCH $i > /c/$TARGETARCH-$i; done; uname -m; test -f /context/Dockerfile && test -s /run/secrets/variable && touch /t/x
RUN --mount=type=cache,id=both,target=/c,sharing=locked test $(ls /c | grep -c $TARGETARCH) = 9
RUN --mount=from=base,target=/base /base/bin/uname -m
END
if "$archway" doctor 2>/dev/null | grep -qE 'run linux/(arm64|amd64) .*(private|host)'; then
  platforms=linux/amd64,linux/arm64
  says "two platforms" 0 "x86_64" build "${give[@]}"
  said "one of them emulated" aarch64
  platforms=
else
  echo "not tried: an emulated platform (no emulator)"
fi

# --- Both runtimes show the same.
dockerfile <<'END'
RUN --mount=target=/context --mount=type=cache,target=/context/cache --mount=type=secret,id=variable,target=/context/secret --mount=type=tmpfs,target=/t/deep,size=1m \
    cd /context && echo $(ls) && touch cache/x && ! touch new 2>/dev/null && stat -c '%a %u' secret /t/deep && df -k /t/deep | tail -1
END
for runtime in crun runc; do
  command -v $runtime >/dev/null || continue
  says "$runtime" 0 "" build --no-cache --runtime $runtime "${give[@]}"
  grep -E '^#2 [0-9.]+ ' "$folder/said" | cut -d' ' -f3- >"$folder/$runtime"
  equal "$runtime: nothing is left" "" "$(names)"
done
[ -e "$folder/crun" ] && [ -e "$folder/runc" ] && check "crun and runc show the same" diff "$folder/crun" "$folder/runc"

# --- An ordinary user.
if [ "$(id -u)" = 0 ]; then
  useradd --no-create-home --shell /bin/sh "$user"
  grep -q "^$user:" /etc/subuid || usermod --add-subuids 700000-765535 --add-subgids 700000-765535 "$user"
  cp "$archway" "$folder/archway" && chmod 755 "$folder/archway"
  mkdir -p "$folder/home" && chown "$user" "$folder/home"
  chmod -R a+rX "$folder/layout" "$context"; chmod 644 "$folder/secret-file"
  as_user() { setpriv --reuid "$user" --regid "$user" --clear-groups env HOME="$folder/home" ARCHWAY_ROOT="$folder/home/state" DOCKER_CONFIG="$DOCKER_CONFIG" "$folder/archway" "$@"; }
  dockerfile <<'END'
RUN --mount=target=/context --mount=type=cache,target=/c,uid=5,mode=0700 --mount=type=secret,id=file,uid=5 --mount=type=tmpfs,target=/t \
    cat /run/secrets/file && stat -c 'owner %u' /c /run/secrets/file && touch /c/x /t/x && test -f /context/src/file
RUN --mount=source=src,target=/src,rw echo new > /src/file && test ! -e /c
END
  says "an ordinary user" 0 "owner 5" as_user build --progress plain --platform "$native" --build-context "base=oci-layout://$folder/layout" --secret "id=file,src=$folder/secret-file" "$context"
  says "sees the caches" 0 "cache mount /c" as_user cache du
  says "and removes them" 0 "Reclaimed: " as_user cache prune --all
  equal "whoever owns what is in them" "" "$(find "$folder/home/state/mounts" -mindepth 1 2>/dev/null)"
fi

# --- The cache's size.
says "cache du --json" 0 '"kind": "cache"' "$archway" cache du --json
said "has contexts, too" '"kind": "context"'
dockerfile <<'END'
RUN --mount=type=cache,id=big,target=/c dd if=/dev/zero of=/c/big bs=1M count=30
END
says "a large cache" 0 "" build
says "is bounded with the rest" 0 "cache mount big" "$archway" cache prune --keep-storage 20MB
equal "and gone" "" "$(find "$ARCHWAY_ROOT/mounts" -name big)"
dockerfile <<'END'
RUN --mount=type=cache,id=big,target=/c ls /c | wc -l
END
says "and made anew" 0 " 0" build
says "cache prune --all" 0 "Reclaimed: " "$archway" cache prune --all
equal "leaves no mount" "" "$(find "$ARCHWAY_ROOT/mounts" -mindepth 1 2>/dev/null)"
check "nothing stays mounted" bash -c "! grep -q '$folder' /proc/mounts"
finish
