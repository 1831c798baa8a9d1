#!/bin/sh
# Gives each user its password in Kafka: SCRAM-SHA-512, at the listener that only the broker's own container reaches.
# usage: users.sh FOLDER BOOTSTRAP_SERVER; FOLDER has a file for each user, with the password in it
set -eu
for file in "$1"/*; do
    kafka-configs.sh --bootstrap-server "$2" --alter --entity-type users --entity-name "$(basename "$file")" \
        --add-config "SCRAM-SHA-512=[password=$(cat "$file")]"
done
