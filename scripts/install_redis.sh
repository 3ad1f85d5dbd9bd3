#!/usr/bin/env bash
# Debian's redis-server, unless it is here; its service does not start.
set -euo pipefail
command -v redis-server >/dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
$as_root apt-get update -qq >/dev/null
$as_root env RUNLEVEL=1 apt-get install -qq --yes --no-install-recommends redis-server >/dev/null
