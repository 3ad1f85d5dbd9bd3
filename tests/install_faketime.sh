#!/usr/bin/env bash
# Debian's faketime, unless it is here.
set -euo pipefail
command -v faketime >/dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
$as_root apt-get update -qq >/dev/null
$as_root apt-get install -qq --yes --no-install-recommends faketime >/dev/null
