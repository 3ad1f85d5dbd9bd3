#!/usr/bin/env bash
# Debian's Chromium and npm's playwright-core and axe-core, unless they are here. Needs Node.js 20.
set -euo pipefail
cd "$(dirname "$0")"
missing=()
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || missing+=(chromium)
command -v npm >/dev/null || missing+=(nodejs npm)
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    $as_root apt-get update -qq >/dev/null
    $as_root apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
fi
cmp -s package-lock.json node_modules/.installed && exit 0
npm ci --silent --ignore-scripts --no-audit --no-fund
cp package-lock.json node_modules/.installed
