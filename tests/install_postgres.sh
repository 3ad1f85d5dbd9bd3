#!/usr/bin/env bash
# Debian's programs of a PostgreSQL version that the wheel lacks, unless they are here; no cluster is started.
set -euo pipefail
case "$1" in 16 | 18) exit 0 ;; esac
[ -x "/usr/lib/postgresql/$1/bin/postgres" ] && exit 0
export DEBIAN_FRONTEND=noninteractive
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
$as_root apt-get update -qq >/dev/null
$as_root env RUNLEVEL=1 apt-get install -qq --yes --no-install-recommends "postgresql-$1" >/dev/null
