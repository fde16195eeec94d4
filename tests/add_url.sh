#!/bin/bash
# ADD of http URLs from a server of the test's own: names, modes, times, checksums, and what is asked again.
#     tests/add_url.sh ARCHWAY
set -u
archway=$(realpath "$1")
. "$(dirname "$0")/base.sh"
folder=$(mktemp -d /tmp/archway-add-XXXXXX)
server=
end() { [ -n "$server" ] && kill "$server" 2>/dev/null; rm -rf "$folder"; }
trap end EXIT
export ARCHWAY_ROOT=$folder/state DOCKER_CONFIG=$folder/no-config
mkdir -p "$folder/served/sub" "$folder/context"
printf 'from afar\n' >"$folder/served/sub/file.txt"
touch -d '1994-11-06 08:49:37 UTC' "$folder/served/sub/file.txt"
python3 -u -m http.server --bind 127.0.0.1 --directory "$folder/served" 0 >"$folder/port" 2>"$folder/log" &
server=$!
until grep -q port "$folder/port"; do kill -0 $server || skip_all "python3 serves nothing"; sleep 0.02; done
url=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$folder/port")
sum=$(sha256sum <"$folder/served/sub/file.txt" | cut -d' ' -f1)
build() { "$archway" build --progress plain --platform linux/amd64 -o "type=tar,dest=$folder/out.tar" "$@" "$folder/context"; }
dockerfile() { cat >"$folder/context/Dockerfile"; }
listed() { TZ=UTC tar -tvf "$folder/out.tar" --numeric-owner --full-time | awk '{print $1, $2, $4, $5, $6}' | grep -v /$ ; }
sent() { grep -c "$1" "$folder/log"; }

dockerfile <<END
FROM scratch
ARG WHERE=$url
ADD \${WHERE}/sub/file.txt /dir/
ADD --chmod=755 --chown=5:6 $url/sub/file.txt?x=1 /named
ADD --checksum=sha256:$sum $url/sub/file.txt /checked
END
says "ADD of a URL" 0 sha256: build
equal "names, modes, owners and times" "-rw------- 0/0 1994-11-06 08:49:37 checked
-rw------- 0/0 1994-11-06 08:49:37 dir/file.txt
-rwxr-xr-x 5/6 1994-11-06 08:49:37 named" "$(listed | sort -k5)"
equal "its bytes" "from afar" "$(tar -xOf "$folder/out.tar" dir/file.txt)"
before=$(sent '" 200 ')
says "again" 0 "CACHED" build
equal "nothing is sent again" "$before" "$(sent '" 200 ')"
check "but the server is asked" grep -q '" 304 ' "$folder/log"
printf 'changed\n' >"$folder/served/sub/file.txt"
says "what has changed no longer has its checksum" 2 "digest mismatch" build --no-cache
check "is told with its line" grep -q '^archway: Dockerfile:5:1: ' "$folder/said"
sed -i '/checksum/d' "$folder/context/Dockerfile"
says "without it" 0 sha256: build
equal "is what it is now" changed "$(tar -xOf "$folder/out.tar" named)"

refused() { # WHAT WORDS LINE
  printf 'FROM scratch\n%s\n' "$3" | dockerfile
  says "$1" 2 "$2" build
  check "$1: with its line" grep -q '^archway: Dockerfile:2:1: ' "$folder/said"
}
refused "an absent file" "status 404" "ADD $url/absent /"
refused "nobody there" "127.0.0.1:1" "ADD http://127.0.0.1:1/x /"
refused "COPY of a URL" "source can't be a URL for COPY" "COPY $url/x /"
refused "a checksum of a local file" "checksum requires HTTP(S) or Git sources" "ADD --checksum=sha256:$sum Dockerfile /"
refused "a checksum of two" "checksum can't be specified for multiple sources" "ADD --checksum=sha256:$sum $url/a $url/b /"
refused "a checksum that is none" "--checksum" "ADD --checksum=abc $url/a /"
refused "a git repository" "ADD of a git repository is not supported" "ADD https://example.org/x.git /"
refused "another" "ADD of a git repository is not supported" "ADD git@example.org:x /"
finish
