#!/bin/sh
# Gives each user its password in Kafka: SCRAM-SHA-512, at the listener that only the broker's own container reaches.
# usage: users.sh FOLDER BOOTSTRAP_SERVER; FOLDER has a file for each user, with the password in it
set -eu
for file in "$1"/*; do
    # Not as an argument, which every process of the host can read; a properties file wants \ twice.
    sed 's/\\/\\\\/g; s/^/SCRAM-SHA-512=password=/' "$file" |
        kafka-configs.sh --bootstrap-server "$2" --alter --entity-type users --entity-name "$(basename "$file")" \
            --add-config-file /dev/stdin
done
