#!/usr/bin/env bash
# Writes the locks anew from pyproject.toml: every version and every hash, for Python 3.10 and later, the image's
# for its own Python. Versions already locked stay unless asked otherwise: `requirements/lock.sh --upgrade`.
# Needs uv.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # compile LOCK PYTHON ARGUMENTS...
    local lock=$1 python=$2
    shift 2
    uv pip compile "$@" --universal --python-version "$python" --generate-hashes --quiet \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file "$lock"
}

compile requirements/airflow3.lock 3.10 "$@" --extra airflow --extra local pyproject.toml requirements/airflow3.in
compile requirements/airflow2.lock 3.10 "$@" --extra airflow --extra local pyproject.toml requirements/airflow2.in
compile requirements/celery.lock 3.10 "$@" --extra airflow --extra local --constraint requirements/airflow3.lock \
    pyproject.toml requirements/celery.in
compile requirements/dev.lock 3.10 "$@" --group dev --constraint requirements/airflow3.lock
compile requirements/uv.lock 3.10 "$@" requirements/uv.in
compile requirements/docs.lock 3.10 "$@" --group docs --constraint requirements/airflow3.lock
compile requirements/compose.lock 3.12 "$@" --extra airflow pyproject.toml requirements/compose.in

if grep -nE '://|^-e|file:' requirements/*.lock; then
    echo "a lock must name no address and no local path" >&2
    exit 1
fi
