#!/bin/bash
# Images on their way: build's outputs and inputs, and inspect, copy, index create, login and logout between two kinds of
# registries, folders and archives, each read by skopeo as well.
#     tests/images.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
folder=$(mktemp -d /tmp/archway-images-XXXXXX)
trap 'stop_servers; rm -rf "$folder"' EXIT
root_filesystems "$folder/base"
cp "$tests/../examples/debian-python/Dockerfile" "$folder/base/"
export ARCHWAY_ROOT=$folder/state DOCKER_CONFIG=$folder/docker SOURCE_DATE_EPOCH=1700000000
cd "$folder"
platforms=linux/amd64,linux/arm64
own=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
json() { python3 -c 'import json,sys; j=json.load(sys.stdin); print('"$1"')'; } # EXPRESSION, with j
have_skopeo=; command -v skopeo >/dev/null && have_skopeo=yes || echo "not tried: skopeo (it is absent)"
skopeo() { [ -z "$have_skopeo" ] || command skopeo --insecure-policy "$@"; }
build() { "$archway" build --progress plain "$@"; }

# Every verb: help, version, unknown flags.
mapfile -t verbs < <("$archway" --help | sed -n '/^Verbs:/,/^$/s/^  \(.\{15\}[^ ]*\) .*/\1/p' | sed 's/ *$//')
for verb in build run inspect verify copy "index create" login logout "registry serve" "cache du" "cache prune" doctor; do
  check "$verb is in the overview" grep -qxF "$verb" <(printf '%s\n' "${verbs[@]}")
done
for verb in "${verbs[@]}"; do
  says "$verb --help" 0 "Usage: archway $verb" "$archway" $verb --help
  says "$verb --version" 0 "archway " "$archway" $verb --version
  says "$verb with an unknown flag" 64 "unknown flag --no-such-flag" "$archway" $verb --no-such-flag
done
says "--help" 0 "Verbs:" "$archway" --help
says "--version" 0 "archway " "$archway" --version
says "nothing" 64 "Verbs:" "$archway"
says "an unknown verb" 64 "did you mean build?" "$archway" biuld
says "a nearly known flag" 64 "did you mean --platform?" "$archway" build --plattform x .
says "half a verb" 64 "registry serve" "$archway" registry
says "a flag's value that is wrong" 64 "--platform" "$archway" build --platform linux/nothing/at/all .
says "too many words" 64 "too many arguments" "$archway" inspect a b

# Two registries: ours with passwords, and Debian's docker-registry.
command -v htpasswd >/dev/null && htpasswd -Bbc users ann secret 2>/dev/null || skip_all "htpasswd (apache2-utils) is absent"
serve --htpasswd users
ours=$registry
says "nobody may look" 2 "archway login $ours" "$archway" inspect "$ours/app:1"
says "a wrong password" 2 "logging in to $ours" bash -c "echo wrong | '$archway' login -u ann --password-stdin $ours"
says "login" 0 "Login Succeeded" bash -c "echo secret | '$archway' login -u ann --password-stdin $ours"
equal "it is kept where docker keeps it" "YW5uOnNlY3JldA==" "$(json "j['auths']['$ours']['auth']" <docker/config.json)"
equal "for nobody else to read" 600 "$(stat -c %a docker/config.json)"
theirs=
if command -v docker-registry >/dev/null; then
  printf 'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/theirs\nhttp:\n  addr: 127.0.0.1:0\n  secret: test\n' "$folder" >registry.yml
  docker-registry serve registry.yml >theirs.log 2>&1 &
  servers+=($!)
  until grep -q 'listening on 127' theirs.log 2>/dev/null; do kill -0 "${servers[-1]}" || exit 1; sleep 0.05; done
  theirs=127.0.0.1:$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' theirs.log | head -1)
fi
[ -n "$theirs" ] || { theirs=$ours; echo "not tried: docker-registry (it is absent)"; }

# build: inputs.
says "several names, two registries" 0 sha256: build --platform $platforms -t "$ours/base:1" -t "$ours/base:latest" -t "$theirs/base:1" --push \
  --label org.example.a=1 --label 'org.example.b=two words' --iidfile iid --metadata-file meta.json base
digest=$(cat iid)
equal "the digest that is printed is the one in --iidfile" "$digest" "$(tail -n 1 said | tr -d '\n')"
for name in "$ours/base:1" "$ours/base:latest" "$theirs/base:1"; do
  equal "$name" "$digest" "$("$archway" inspect --json "$name" | json 'j["digest"]')"
done
equal "--metadata-file has the digest" "$digest" "$(json 'j["containerimage.digest"]' <meta.json)"
equal "the descriptor" "application/vnd.oci.image.index.v1+json" "$(json 'j["containerimage.descriptor"]["mediaType"]' <meta.json)"
equal "the names" "$ours/base:1,$ours/base:latest,$theirs/base:1" "$(json 'j["image.name"]' <meta.json)"
equal "and each platform" "['linux/amd64', 'linux/arm64']" "$(json 'sorted(j["archway.platforms"])' <meta.json)"
equal "--label" "two words" "$("$archway" inspect --platform linux/arm64 --config "$ours/base:1" | json 'j["config"]["Labels"]["org.example.b"]')"
equal "--raw is what the digest is of" "$digest" "sha256:$("$archway" inspect --raw "$ours/base:1" | sha256sum | cut -d' ' -f1)"

mkdir -p app/sub extra
printf 'FROM %s AS first\nRUN echo 1 >/first\nFROM first AS second\nCOPY . /context/\nFROM second\nRUN echo 3 >/third\n' "$ours/base:1" >app/Dockerfile
echo keep >app/kept.txt; echo drop >app/dropped.log; echo deep >app/sub/deep.log; echo again >app/sub/again.log
printf '# not these\n**/*.log\n!sub/again.log\nDockerfile\n.dockerignore\n' >app/.dockerignore
says "--target and .dockerignore" 0 "" build --target second -o type=local,dest=out-target app
equal "what .dockerignore lets in" "kept.txt sub sub/again.log" "$(cd out-target/context && find . -mindepth 1 | sed 's|^./||' | sort | xargs)"
check "--target stops there" test ! -e out-target/third
says "a stage that is not there" 2 "nowhere" build --target nowhere app
check "Dockerfile on standard input" bash -c "printf 'FROM first\nCOPY kept.txt /\n' | sed 's|first|$ours/base:1|' | '$archway' build -q -f - -o type=local,dest=out-stdin app && grep -q keep out-stdin/kept.txt"
printf 'FROM scratch\nCOPY kept.txt /other\n' >other.Dockerfile
says "-f FILE" 0 "" build -f other.Dockerfile -o out-file app
equal "and -o FOLDER" other "$(ls out-file)"
echo from-folder >extra/file
printf 'FROM scratch\nCOPY --from=extra file /\n' >app/contexts.Dockerfile
says "--build-context of a folder" 0 "" build -f app/contexts.Dockerfile --build-context extra=extra -o out-context app
equal "its file" from-folder "$(cat out-context/file)"
printf 'FROM base\nCOPY --from=tools /etc/passwd /copied\n' >app/contexts.Dockerfile
says "-o type=oci,tar=false" 0 "" build --platform $platforms -o type=oci,dest=layout,tar=false -t example.org/base:1 base
says "--build-context of a layout and of an image" 0 "" build --platform $platforms -f app/contexts.Dockerfile \
  --build-context base=oci-layout://layout --build-context "tools=docker-image://$theirs/base:1" -o type=local,dest=out-images app
check "both platforms' folders" test -s out-images/linux_amd64/copied -a -s out-images/linux_arm64/copied
equal "arm64's is for aarch64" b7 "$(od -An -tx1 -j18 -N1 out-images/linux_arm64/bin/busybox | tr -d ' ')"
equal "amd64's is for x86_64" 3e "$(od -An -tx1 -j18 -N1 out-images/linux_amd64/bin/busybox | tr -d ' ')"
says "a context that is not there" 2 "is not a folder" build absent
says "a context without a Dockerfile" 2 "no Dockerfile in extra" build extra
says "RUN for another operating system" 2 "windows/amd64" build --platform windows/amd64 app
printf 'FROM scratch\nCOPY kept.txt /\n' >other.Dockerfile
says "COPY for another operating system" 0 sha256: build --platform windows/amd64 -f other.Dockerfile app
says "an unknown context" 2 "nosuch" bash -c "printf 'FROM scratch\nCOPY --from=nosuch.invalid/x /a /\n' | '$archway' build -f - app"

# build: outputs, each read by skopeo.
says "-o type=oci" 0 "" build --platform $platforms -t example.org/base:1 -o type=oci,dest=base-oci.tar base
says "-o type=docker" 0 "" build --platform linux/arm64 -t example.org/base:1 -o type=docker,dest=base-docker.tar base
says "-o type=docker with two platforms" 2 "docker" build --platform $platforms -t example.org/base:1 -o type=docker,dest=two.tar base
says "-o type=tar" 0 "" build --platform linux/arm64 -o type=tar,dest=base-root.tar base
equal "the tar holds the root file system" "root:x:0:0:root:/root:/bin/sh" "$(tar -xOf base-root.tar etc/passwd 2>/dev/null | head -1 || tar -xOf base-root.tar ./etc/passwd | head -1)"
check "a tar on standard output" bash -c "'$archway' build -q --platform linux/arm64 -o - base | cmp - base-root.tar"
says "two outputs at once" 0 "" build --platform $platforms -t example.org/base:1 -o type=oci,dest=again.tar -o type=local,dest=out-both base
check "the archive has the same bytes" cmp base-oci.tar again.tar
check "the tar and the folder agree" bash -c "mkdir unpacked && tar -C unpacked -xf base-root.tar && diff -r --no-dereference unpacked out-both/linux_arm64"
says "an unknown output" 64 "type" build -o type=zip,dest=x base
for place in oci:layout:1 oci-archive:base-oci.tar docker-archive:base-docker.tar; do
  [ $place = oci:layout:1 ] && place=oci:layout
  check "skopeo inspects $place" skopeo inspect --override-arch arm64 --raw $place
  check "skopeo copies all of $place" skopeo copy -q --override-arch arm64 "$([ "${place%%:*}" = docker-archive ] || echo --all)" $place "dir:by-skopeo-${place%%:*}"
  says "archway inspects $place" 0 linux/arm64 "$archway" inspect $place
done 2>/dev/null
[ -z "$have_skopeo" ] || equal "skopeo sees the machine in the docker archive" arm64 "$(skopeo inspect --config docker-archive:base-docker.tar | json 'j["architecture"]')"

# copy: from each place to each place, the whole index; and back to where it came from.
index() { "$archway" inspect --json "$1" | json 'j["digest"]'; }
from=$ours/base:1
for to in "$theirs/copied:1" oci:copied:1 oci-archive:copied.tar:1 "$ours/copied/back:1"; do
  says "copy $from $to" 0 "$digest" "$archway" copy "$from" "$to"
  equal "the same index in $to" "$digest" "$(index "$to")"
  case $to in
    oci*) check "skopeo reads it" skopeo copy -q --all "$to" "dir:by-skopeo-$passed" ;;
    "$ours"*) check "skopeo reads it" skopeo inspect --override-arch arm64 --creds ann:secret --tls-verify=false "docker://$to" ;;
    *) check "skopeo reads it" skopeo inspect --override-arch arm64 --tls-verify=false "docker://$to" ;;
  esac
  from=$to
done
equal "copying again stores nothing" 0 "$("$archway" copy --json "$ours/base:1" "$theirs/copied:1" | json 'j["stored"]')"
says "two platforms into a docker archive" 2 "add --platform" "$archway" copy "$ours/base:1" docker-archive:both.tar:example.org/base:1
says "one of them" 0 sha256: "$archway" copy --platform linux/arm64 "$ours/base:1" docker-archive:one.tar:example.org/base:1
equal "is that one" arm64 "$("$archway" inspect --config docker-archive:one.tar | json 'j["architecture"]')"
[ -z "$have_skopeo" ] || equal "skopeo reads it" arm64 "$(skopeo inspect --config docker-archive:one.tar | json 'j["architecture"]')"
says "a docker archive into a layout" 0 sha256: "$archway" copy docker-archive:one.tar oci:from-docker:1
check "skopeo reads that" skopeo inspect --override-arch arm64 oci:from-docker:1
says "a docker archive into their registry" 0 sha256: "$archway" copy docker-archive:one.tar "$theirs/from-docker:1"
says "a platform that is not there" 2 "linux/s390x" "$archway" copy --platform linux/s390x "$ours/base:1" oci:never:1
says "an image that is not there" 2 "$theirs/absent:1" "$archway" copy "$theirs/absent:1" oci:never:1
says "a place that is not known" 64 "docker-daemon:" "$archway" copy docker-daemon:x oci:never:1
if [ -n "$have_skopeo" ]; then
  check "skopeo writes a docker archive" skopeo copy -q --override-arch arm64 oci:layout docker-archive:skopeo.tar:example.org/base:1
  says "archway reads it" 0 linux/arm64 "$archway" inspect docker-archive:skopeo.tar
  check "skopeo writes an oci archive" skopeo copy -q --all oci:layout oci-archive:skopeo-oci.tar:1
  equal "archway reads it" "$(index oci:layout)" "$(index oci-archive:skopeo-oci.tar:1)"
fi

# index create: out of single images, and out of the index itself.
for arch in amd64 arm64; do says "an image for $arch alone" 0 "" build --platform linux/$arch -t "$ours/part:$arch" --push base; done
says "index create" 0 sha256: "$archway" index create -t "$ours/parts:1" -t "$theirs/parts:1" -t oci:parts:1 --annotation org.example.a=b "$ours/part:amd64" "$ours/part:arm64"
equal "both are in it" "['linux/amd64', 'linux/arm64']" "$("$archway" inspect --json "$theirs/parts:1" | json '[i["platform"] for i in j["images"]]')"
equal "the same everywhere" "$(index oci:parts:1)" "$(index "$ours/parts:1")"
equal "with the annotation" b "$("$archway" inspect --raw "$ours/parts:1" | json 'j["annotations"]["org.example.a"]')"
says "two for one platform" 2 "two images for linux/arm64" "$archway" index create -t "$ours/parts:2" "$ours/part:arm64" "$ours/base:1"
says "it runs" 0 aarch64 "$archway" run --platform linux/arm64 "$ours/parts:1" uname -m
says "run from a layout" 0 aarch64 "$archway" run --platform linux/arm64 oci-layout://parts:1 uname -m

# --json everywhere parses, and is an object.
while read -r line; do
  check "$line is JSON" bash -c "'$archway' $line | python3 -c 'import json,sys; assert isinstance(json.load(sys.stdin), dict)'"
done <<END
inspect --json $ours/base:1
copy --json --progress quiet $ours/base:1 oci:as-json:1
index create --json -t oci:as-json:2 $ours/part:amd64
build --json --progress quiet --platform $platforms base
cache du --json
cache prune --json --keep-storage 50GB
doctor --json
END
check "--progress rawjson is JSON lines" bash -c "'$archway' build --progress rawjson --platform $platforms -o type=oci,dest=x.tar base 2>&1 >/dev/null | python3 -c 'import json,sys; assert all(isinstance(json.loads(l), dict) for l in sys.stdin)'"
says "--quiet says the digest alone" 0 "" "$archway" build -q --platform $platforms base
check "and nothing else" grep -qxE 'sha256:[0-9a-f]{64}' said

# logout
says "logout" 0 "Removed login credentials for $ours" "$archway" logout "$ours"
says "logout again" 0 "Not logged in" "$archway" logout "$ours"
says "then nobody may look" 2 "archway login" "$archway" inspect "$ours/base:1"
says "nor push" 2 "$ours/base:2" build --platform linux/$own -t "$ours/base:2" --push base
finish
