#!/usr/bin/env bash
# Writes the locks anew from pyproject.toml: every version and every hash, for Python 3.10 and later.
# Needs uv. Versions already locked stay unless asked otherwise: `requirements/lock.sh --upgrade`.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # compile LOCK ARGUMENTS...
    local lock=$1
    shift
    uv pip compile "$@" --universal --python-version 3.10 --generate-hashes --quiet \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file "$lock"
}

compile requirements/airflow3.lock "$@" --extra airflow --extra local pyproject.toml requirements/airflow3.in
compile requirements/dev.lock "$@" --group dev --constraint requirements/airflow3.lock

if grep -nE '://|^-e|file:' requirements/*.lock; then
    echo "a lock must name no address and no local path" >&2
    exit 1
fi
