#!/usr/bin/env bash
# Makes VENV hold exactly what is locked, and this project; does nothing where that is so already.
#     requirements/install.sh VENV [dev | docs | airflow2 | celery]
# dev adds what `make test` needs, docs what `make docs` does; airflow2 builds on the older line of Airflow, with pytest,
# celery on the main line with Celery.
# PYTHON names the interpreter to build on; otherwise the first that suits. uv installs: the one on PATH, else pip brings
# the locked one into VENV, and pip's own settings (index, links, certificates) hold for it too. Where uv cannot, pip does.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
with=${2:-}
lock=requirements/airflow3.lock newest_python=14
if [ "$with" = airflow2 ]; then
    lock=requirements/airflow2.lock newest_python=12
elif [ "$with" = celery ]; then
    lock=requirements/celery.lock
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }
suits() { "$1" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $newest_python))" 2>/dev/null; }
have_uv() { command -v uv >/dev/null 2>&1; }
# A setting of pip's, from its files or its environment; empty if there is none.
pip_setting() { "$venv/bin/python" -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1; }
# What the arguments' files and the text on standard input add up to.
fingerprint() { { cat; cat "$@"; } | cksum; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        suits "$PYTHON" || fail "PYTHON=$PYTHON is no Python from 3.10 to 3.$newest_python"
        echo "$PYTHON"
        return
    fi
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
        if suits "$candidate"; then echo "$candidate"; return; fi
    done
    fail "needs Python 3.10 to 3.$newest_python; python3 here is: $(python3 --version 2>&1 || true)
       On Debian 12 or Ubuntu 22.04 and later: apt-get install python3 python3-venv
       Elsewhere name one: make install PYTHON=/path/to/python3.12"
}

create_venv() {
    rm -rf "$venv"
    if have_uv; then
        uv venv --quiet --no-python-downloads --python "$python" "$venv"
    elif "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv "$venv"
    else
        fail "$python cannot make virtual environments: its ensurepip module is missing.
       On Debian and Ubuntu: apt-get install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
}

pip_install() {
    if have_uv; then
        VIRTUAL_ENV=$PWD/$venv timed uv pip install "$@"
    elif bring_uv && timed with_pips_settings "$venv/bin/uv" pip install --python "$venv/bin/python" "$@"; then
        :
    else
        say "uv cannot install here; pip does, which takes a minute or more"
        by_pip "$@"
    fi
}

timed() { # timed UV...: of what uv says how long it took to download and to install; all of it if it fails
    local said status=0
    said=$("$@" 2>&1) || status=$?
    if [ "$status" -ne 0 ]; then say "$said"; fi
    sed -nE 's/^Prepared (.*) in (.*)/  downloaded \1: \2/p; s/^Installed (.*) in (.*)/  installed \1: \2/p' <<<"$said" >&2
    return "$status"
}

by_pip() { "$venv/bin/python" -m pip install --quiet --quiet --no-input "$@"; }

bring_uv() { [ -x "$venv/bin/uv" ] || by_pip --require-hashes --requirement requirements/uv.lock; }

with_pips_settings() { # with_pips_settings COMMAND...: uv reads other names
    local value settings=(UV_INDEX_STRATEGY=unsafe-best-match) # like pip: the hashes say which file is right
    value=$(pip_setting index-url); [ -z "$value" ] || settings+=("UV_DEFAULT_INDEX=$value")
    value=$(pip_setting extra-index-url); [ -z "$value" ] || settings+=("UV_INDEX=$value")
    value=$(pip_setting find-links); [ -z "$value" ] || settings+=("UV_FIND_LINKS=${value// /,}")
    value=$(pip_setting cert); [ -z "$value" ] || settings+=("SSL_CERT_FILE=$value")
    value=$(pip_setting proxy); [ -z "$value" ] || settings+=("HTTPS_PROXY=$value" "HTTP_PROXY=$value")
    env ${settings[@]+"${settings[@]}"} "$@"
}

step() { # step NAME KEY COMMAND...: runs the command unless it was done for this key
    local stamp=$venv/.done-$1 key=$2
    shift 2
    if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then return; fi
    "$@"
    echo "$key" >"$stamp"
}

install_locked() {
    say "Installing the locked dependencies into $venv ..."
    create_venv
    pip_install --require-hashes --requirement "$lock"
    say "  in all: $SECONDS s"
}

python=$(find_python)
if command -v flock >/dev/null 2>&1; then # two makes at once: the second waits
    exec 9<requirements/install.sh
    flock 9
fi
interpreter=$("$python" -c 'import sys; print(sys.version, sys.base_prefix)')
base_key=$(echo "$interpreter $PWD" | fingerprint "$lock")
step base "$base_key" install_locked
step project "$(fingerprint pyproject.toml plugins/backfill/__init__.py </dev/null)" \
    pip_install --no-deps --no-build-isolation --editable .
if [ "$with" = dev ] || [ "$with" = docs ]; then
    step "$with" "$(fingerprint "requirements/$with.lock" </dev/null)" \
        pip_install --require-hashes --requirement "requirements/$with.lock"
fi
