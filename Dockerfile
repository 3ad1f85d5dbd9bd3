# The image of all Airflow services in docker-compose.yaml: locked dependencies, and the project as it stands.
# A build that must be repeatable names a digest: --build-arg PYTHON_IMAGE=python:3.12-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
FROM ${PYTHON_IMAGE}

# One cache for bytecode: the project's folders may be mounted read-only, and a task that has to compile its
# imports anew starts several seconds later.
ENV AIRFLOW_HOME=/opt/airflow \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONPYCACHEPREFIX=/var/cache/python \
    PYTHONUNBUFFERED=1

RUN useradd --uid 50000 --gid 0 --create-home airflow \
    && install --directory --owner=airflow --group=0 --mode=0775 "$AIRFLOW_HOME" "$AIRFLOW_HOME/logs" "$PYTHONPYCACHEPREFIX"

# What the official chart's probes call; in Airflow's own image it waits for databases first.
RUN printf '#!/bin/sh\nexec "$@"\n' > /entrypoint && chmod 0755 /entrypoint

COPY requirements/compose.lock /tmp/compose.lock
RUN pip install --require-hashes --only-binary :all: --requirement /tmp/compose.lock \
    && chown --recursive airflow:0 "$PYTHONPYCACHEPREFIX"

# Editable: `import backfill` reads /opt/airflow/plugins, whether that is this copy or a mount over it.
WORKDIR /opt/airflow
COPY pyproject.toml README.md LICENSE ./
COPY plugins plugins
COPY include include
COPY dags dags
COPY docker/airflow_local_settings.py config/
RUN pip install --no-deps --no-build-isolation --editable .

USER airflow
