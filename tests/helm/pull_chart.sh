#!/usr/bin/env bash
# Prints where the official chart lies: HELM_CHART, or the version that deploy/helm/values.yaml names, pulled once into dist/helm.
set -euo pipefail
cd "$(dirname "$0")/../.."

helm="${HELM:-helm}"
if ! command -v "$helm" >/dev/null; then
    echo "helm is missing: install Helm 3.19 or newer, or name it by HELM=/path/to/helm" >&2
    exit 1
fi
if [ -n "${HELM_CHART:-}" ]; then
    echo "$HELM_CHART"
    exit
fi
version=$(sed -n 's/^#.* --version \([0-9.]*\) .*/\1/p' deploy/helm/values.yaml)
chart="dist/helm/airflow-$version.tgz"
mkdir -p dist/helm
if [ ! -f "$chart" ] && ! "$helm" pull airflow --repo https://airflow.apache.org --version "$version" --destination dist/helm >&2; then
    echo "the chart $version cannot be pulled from https://airflow.apache.org: name a copy of it by HELM_CHART=" >&2
    exit 1
fi
echo "$chart"
