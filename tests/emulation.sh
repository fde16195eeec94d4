#!/bin/bash
# Emulators: private ones leave the machine as it was, those of the host are used where allowed, and none refuses with advice.
#     tests/emulation.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
case $(uname -m) in
  x86_64) foreign=arm64 machine=aarch64 ;;
  aarch64) foreign=amd64 machine=x86_64 ;;
  *) skip_all "no plan for $(uname -m)" ;;
esac
qemu=$(command -v "qemu-$machine-static") || skip_all "qemu-$machine-static is absent"
folder=$(mktemp -d /tmp/archway-emulation-XXXXXX)
trap 'stop_servers; rm -rf "$folder"' EXIT
root_filesystems "$folder/context"
export ARCHWAY_ROOT=$folder/state
printf 'FROM scratch\nARG TARGETARCH\nADD rootfs-${TARGETARCH}.tar /\nRUN uname -m > /machine; echo "built on $(uname -m)"\nRUN test "$(sh -c "sh -c \\"uname -m\\"")" = "$(cat /machine)"\n' >"$folder/context/Dockerfile"
build() { "$archway" build --progress plain --no-cache --platform "linux/$foreign" "$@" "$folder/context"; }
start_build() { # in the background, as $pid itself
  "$archway" build --progress plain --no-cache --platform "linux/$foreign" --emulation=private "$folder/context" >"$folder/killed" 2>&1 &
  pid=$!
  for _ in $(seq 600); do grep -q '^#[0-9]* [0-9.]* now' "$folder/killed" && break; sleep 0.1; done
  check "a long step is running" grep -q '^#[0-9]* [0-9.]* now' "$folder/killed"
}

machine_state() { # what a build must leave as it was
  cat /proc/mounts
  ls -R /proc/sys/fs/binfmt_misc 2>/dev/null
  cat /proc/sys/fs/binfmt_misc/* 2>/dev/null
  # Processes: those that name this test's folder, or live among mounts of it. Others come and go.
  pgrep -af "$folder" | grep -v emulation.sh
  grep -lF "$folder" /proc/[0-9]*/mountinfo 2>/dev/null
  true
}

# private
machine_state >"$folder/before"
says "private" 0 "built on $machine" build --emulation=private
machine_state >"$folder/after"
check "private leaves mounts, binfmt_misc and processes as they were" diff "$folder/before" "$folder/after"
cp "$folder/context/Dockerfile" "$folder/steps"
printf 'RUN exit 3\n' >>"$folder/context/Dockerfile"
says "private, failing" 2 "exit code: 3" build --emulation=private
machine_state >"$folder/after"
check "leaves them as they were, too" diff "$folder/before" "$folder/after"
printf 'RUN echo now && sleep 300\n' | cat "$folder/steps" - >"$folder/context/Dockerfile"
start_build
kill -9 "$pid"
wait "$pid" 2>/dev/null
for _ in $(seq 100); do machine_state >"$folder/after"; cmp -s "$folder/before" "$folder/after" && break; sleep 0.1; done
check "killed with SIGKILL, it leaves them as they were" diff "$folder/before" "$folder/after"
start_build
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
equal "ended with SIGTERM, it could not do it" 2 "$status"
machine_state >"$folder/after"
check "and leaves them as they were" diff "$folder/before" "$folder/after"
cp "$folder/steps" "$folder/context/Dockerfile"
says "it works after all that" 0 "built on $machine" build

# none
says "none refuses another processor" 2 "linux/$foreign" build --emulation=none
check "and says what to do" grep -qE '^hint: .*(--emulation|linux/'"$foreign"' machine)' "$folder/said"
printf 'FROM scratch\nARG TARGETARCH\nADD rootfs-${TARGETARCH}.tar /\n' >"$folder/context/Dockerfile"
says "without RUN nothing is emulated, so none will do" 0 sha256: build --emulation=none
cp "$folder/steps" "$folder/context/Dockerfile"
says "none runs our own processor" 0 "built on $(uname -m)" "$archway" build --progress plain --no-cache --emulation=none "$folder/context"
says "an unknown way" 64 "there is auto, private, host and none" build --emulation=magic

# host: in a user namespace of the test's own, whose binfmt_misc is not the machine's (Linux 6.7).
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
[ $machine = x86_64 ] && magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
cat >"$folder/in-namespace" <<END
set -u
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 77
if [ "\$1" != none ]; then printf '%s' ':qemu-$machine:M::$magic:$mask:$qemu:'"\$1" >/proc/sys/fs/binfmt_misc/register || exit 77; fi
shift
exec "\$@"
END
alone=(unshare --user --map-root-user --mount)
in_namespace() { "${alone[@]}" bash "$folder/in-namespace" "$@"; }
if in_namespace FPC true >"$folder/out" 2>&1; then
  host_build=("$archway" build --progress plain --no-cache --platform "linux/$foreign")
  says "host" 0 "built on $machine" in_namespace FPC env ARCHWAY_ROOT="$folder/state-host" "${host_build[@]}" --emulation=host "$folder/context"
  says "host with nothing registered" 2 "binfmt_misc has no entry" in_namespace none env ARCHWAY_ROOT="$folder/state-host" "${host_build[@]}" --emulation=host "$folder/context"
  check "says what to do" grep -q '^hint: apt install' "$folder/said"
  says "host without the flag F" 2 "lacks the flag F" in_namespace PC env ARCHWAY_ROOT="$folder/state-host" "${host_build[@]}" --emulation=host "$folder/context"
  says "auto takes a private one all the same" 0 "built on $machine" in_namespace FPC env ARCHWAY_ROOT="$folder/state-host" "${host_build[@]}" "$folder/context"
  says "doctor sees what is registered" 0 "$foreign" in_namespace FPC env ARCHWAY_ROOT="$folder/state-host" "$archway" doctor
  check "in the line of the host's" grep -qE "binfmt \(host\) .*$foreign" "$folder/said"
  machine_state >"$folder/after"
  check "the machine is as it was" diff "$folder/before" "$folder/after"
else
  echo "not tried: the host's emulators (no binfmt_misc in a user namespace: $(head -1 "$folder/out"))"
fi

# doctor
"$archway" doctor --json >"$folder/doctor.json" 2>"$folder/said"
status=$?
check "doctor --json parses and agrees with its exit status" python3 - "$folder/doctor.json" $status <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["ready"] == (sys.argv[2] == "0"), (report["ready"], sys.argv[2])
assert sys.argv[2] in ("0", "1"), sys.argv[2]
for one in report["capabilities"]:
    assert one["state"] in ("ok", "limited", "missing") and one["name"] and one["detail"], one
    assert one["state"] == "ok" or one["advice"] or one["name"] not in ("OCI runtime", "containers"), one
END
equal "this machine, which has just done it, is ready" 0 "$status"
mkdir -p "$folder/empty"
says "doctor where no emulator is found" 1 "apt install qemu-user-static" env PATH="$folder/empty" "$archway" doctor
says "and in JSON" 1 '"ready": false' env PATH="$folder/empty" "$archway" doctor --json
says "build there" 2 "apt install qemu-user-static" env PATH="$folder/empty" "$archway" build --no-cache --platform "linux/$foreign" "$folder/context"
says "doctor where no runtime works" 1 "containers" "$archway" doctor --runtime /bin/false
says "build with one that is absent" 2 "absent-runtime" "$archway" build --no-cache --runtime absent-runtime "$folder/context"
finish
