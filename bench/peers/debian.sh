#!/bin/sh
# Installs the servers that `npm run bench` runs beside Skein. They are started by the bench, on ports of its own, never as services.
set -eu
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends redis-server postgresql
