#!/bin/sh
# Makes an authority, the broker's certificate and a password for each user, once, below the folder that is given:
#   kafka/      key and certificate in one file        users/      every password, for users.sh
#   <user>/     ca.crt and password: what the part of that name is shown, and no other
# usage: certificates.sh FOLDER USER...
set -eu
umask 022 # each container is shown its own folder only, and runs under an id of its own
folder=$1
shift
[ ! -e "$folder/complete" ] || exit 0
days=825
own=$(mktemp -d) # the authority's key stays here and is thrown away
trap 'rm -rf "$own"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$days" -subj "/CN=sensorbus authority" \
    -addext "keyUsage=critical,keyCertSign" -keyout "$own/ca.key" -out "$own/ca.crt" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=kafka" \
    -keyout "$own/kafka.key" -out "$own/kafka.csr" 2>/dev/null
printf '%s\n' "subjectAltName=DNS:kafka,DNS:localhost,IP:127.0.0.1" "basicConstraints=critical,CA:FALSE" \
    "keyUsage=critical,digitalSignature" "extendedKeyUsage=serverAuth" "authorityKeyIdentifier=keyid" >"$own/kafka.ext"
openssl x509 -req -in "$own/kafka.csr" -CA "$own/ca.crt" -CAkey "$own/ca.key" -CAcreateserial -days "$days" \
    -extfile "$own/kafka.ext" -out "$own/kafka.crt" 2>/dev/null

mkdir -p "$folder/kafka" "$folder/users"
cat "$own/kafka.key" "$own/kafka.crt" "$own/ca.crt" >"$folder/kafka/kafka.pem"
for user in "$@"; do
    mkdir -p "$folder/$user"
    cp "$own/ca.crt" "$folder/$user/ca.crt"
    openssl rand -hex 24 >"$folder/$user/password"
    cp "$folder/$user/password" "$folder/users/$user"
done
touch "$folder/complete"
