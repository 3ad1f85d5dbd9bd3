"""deploy/helm/values.yaml against what the chart reads, our settings and the image; tests/helm renders it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backfill import __version__
from backfill.config.settings import load_settings
from backfill.errors import SettingsInvalid
from unit.test_compose import DOCKERFILE, SERVICES, airflow_options
from waiting import PATIENCE_S, wait_for

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "helm" / "values.yaml").read_text()
VALUES: dict[str, Any] = yaml.safe_load(TEXT)
DOCS = (ROOT / "docs" / "own_airflow.md").read_text()

# All that we may name, as in the chart's own values.yaml (of 1.22.0, with Airflow 3.2.2); below it is Kubernetes' part.
CHART = frozenset(
    re.findall(
        r"\S+",
        """
airflowLocalSettings airflowVersion allowPodLaunching apiSecretKeySecretName enableServiceLinks env executor
fernetKeySecretName gid jwtSecretName secret uid volumeMounts volumes
images.airflow.repository images.airflow.tag images.airflow.digest images.airflow.pullPolicy
securityContexts.pod securityContexts.containers
data.metadataSecretName data.brokerUrlSecretName
config.celery.worker_concurrency
migrateDatabaseJob.args migrateDatabaseJob.resources migrateDatabaseJob.serviceAccount.automountServiceAccountToken
createUserJob.enabled
workers.celery.logGroomerSidecar.enabled workers.celery.logGroomerSidecar.args
workers.celery.logGroomerSidecar.resources
workers.celery.replicas workers.celery.resources workers.celery.terminationGracePeriodSeconds
workers.celery.serviceAccount.automountServiceAccountToken workers.celery.livenessProbe.timeoutSeconds
workers.celery.persistence.enabled workers.celery.persistence.size
scheduler.replicas scheduler.resources scheduler.serviceAccount.automountServiceAccountToken
scheduler.livenessProbe.timeoutSeconds scheduler.startupProbe.timeoutSeconds scheduler.startupProbe.failureThreshold
scheduler.logGroomerSidecar.enabled scheduler.logGroomerSidecar.args scheduler.logGroomerSidecar.resources
dagProcessor.enabled dagProcessor.resources dagProcessor.serviceAccount.automountServiceAccountToken
dagProcessor.livenessProbe.timeoutSeconds
dagProcessor.logGroomerSidecar.enabled dagProcessor.logGroomerSidecar.args dagProcessor.logGroomerSidecar.resources
apiServer.replicas apiServer.resources apiServer.allowPodLogReading
apiServer.serviceAccount.automountServiceAccountToken apiServer.startupProbe.failureThreshold
triggerer.replicas triggerer.resources triggerer.persistence.enabled triggerer.persistence.size
triggerer.serviceAccount.automountServiceAccountToken triggerer.livenessProbe.timeoutSeconds
triggerer.logGroomerSidecar.enabled triggerer.logGroomerSidecar.args triggerer.logGroomerSidecar.resources
redis.enabled redis.passwordSecretName redis.persistence.enabled redis.resources
redis.serviceAccount.automountServiceAccountToken
redis.securityContexts.pod redis.securityContexts.container
pgbouncer.enabled postgresql.enabled statsd.enabled flower.enabled
""",
    )
)
SECTIONS = {path.rsplit(".", n)[0] for path in CHART for n in range(1, path.count(".") + 1)}
LITERAL_SECRETS = re.compile(
    r"(password|pass|fernetkey|jwtsecret|brokerurl|apisecretkey|metadataconnection)$", re.IGNORECASE
)


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, path)
    else:
        yield path, node


def named(node: Any, path: str = "") -> Iterator[str]:
    if path in SECTIONS or not path:
        for key, value in node.items():
            yield from named(value, f"{path}.{key}" if path else key)
    else:
        yield path


def value_of(path: str) -> Any:
    node: Any = VALUES
    for name in path.split("."):
        node = node[name]
    return node


ENV = {one["name"]: one["value"] for one in VALUES["env"]}


def test_every_path_is_one_that_the_chart_reads() -> None:
    assert set(named(VALUES)) <= CHART


def test_one_version_of_the_chart_is_named() -> None:
    (pinned,) = re.findall(r"^#.* --version (\S+) ", TEXT, re.MULTILINE)
    assert set(re.findall(r"--version (\S+)", DOCS)) == {pinned}
    assert f"of {pinned}, with Airflow" in Path(__file__).read_text()


def test_settings_are_known_ones_and_airflows_those_of_the_compose_file() -> None:
    ours = {name: value for name, value in ENV.items() if name.startswith("BACKFILL_")}
    settings = load_settings(ours)
    (mount,) = VALUES["volumeMounts"]
    assert settings.universe.parent == Path(mount["mountPath"])
    assert {f"BACKFILL_{field.upper()}" for field in type(settings).model_fields} >= set(ours)
    others = ENV.keys() - ours.keys()
    assert others <= airflow_options()
    compose = SERVICES["worker"]["environment"]
    assert {name: ENV[name].lower() for name in others} == {name: str(compose[name]).lower() for name in others}
    assert str(value_of("config.celery.worker_concurrency")) in compose["AIRFLOW__CELERY__WORKER_CONCURRENCY"]


def test_no_secret_is_literal_and_the_guide_makes_each_that_is_named() -> None:
    for path, value in leaves(VALUES):
        assert not LITERAL_SECRETS.search(path.rpartition(".")[2]), path
        assert not re.search(r"://[^/]*@", str(value)), path
    assert not [name for name in ENV if re.search(r"PASSWORD|SECRET|KEY|CONN", name)]
    secrets = {value for path, value in leaves(VALUES) if path.lower().endswith("secretname")}
    assert len(secrets) == 7
    assert {name for name in secrets if f"create secret generic {name} " not in DOCS} == set()
    (universe,) = VALUES["volumes"]
    assert f"create configmap {universe['configMap']['name']} " in DOCS


WORKLOADS = ("migrateDatabaseJob", "workers.celery", "scheduler", "dagProcessor", "apiServer", "triggerer", "redis")


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_has_bounds(workload: str) -> None:
    resources = value_of(workload)["resources"]
    assert {(kind, *sorted(bounds)) for kind, bounds in resources.items()} == {
        ("requests", "cpu", "memory"),
        ("limits", "cpu", "memory"),
    }


def test_nothing_runs_as_root_or_gains_rights() -> None:
    (uid,) = re.findall(r"useradd --uid (\d+) --gid 0", DOCKERFILE)
    pod = value_of("securityContexts.pod")
    assert pod["runAsUser"] == VALUES["uid"] == int(uid)
    for context in (pod, value_of("redis.securityContexts.pod")):
        assert (context["runAsNonRoot"], context["runAsUser"] > 0) == (True, True)
    for container in (value_of("securityContexts.containers"), value_of("redis.securityContexts.container")):
        assert container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_a_probe_that_starts_airflow_has_as_long_as_in_the_compose_file() -> None:
    for workload, service in (
        ("workers.celery", "worker"),
        ("dagProcessor", "dag-processor"),
        ("triggerer", "triggerer"),
    ):
        timeout_s = value_of(workload)["livenessProbe"]["timeoutSeconds"]
        assert f"{timeout_s}s" == SERVICES[service]["healthcheck"]["timeout"]
    assert value_of("scheduler.livenessProbe") == value_of("triggerer.livenessProbe")


def test_no_pod_may_ask_the_kubernetes_api() -> None:
    for workload in WORKLOADS:
        assert value_of(workload)["serviceAccount"] == {"automountServiceAccountToken": False}
    assert not VALUES["allowPodLaunching"]
    assert not value_of("apiServer.allowPodLogReading")


def test_a_service_beside_us_changes_no_setting() -> None:
    with pytest.raises(SettingsInvalid):
        load_settings({"BACKFILL_REDIS_PORT": "tcp://10.0.0.1:6379"})  # of a Service named backfill-redis
    assert VALUES["enableServiceLinks"] is False


def test_the_log_groomer_deletes_old_logs_only_and_hears_that_its_pod_ends(tmp_path: Path) -> None:
    old, new = tmp_path / "dag_id=a" / "1.log", tmp_path / "2.log"
    old.parent.mkdir()
    for log in (old, new):
        log.touch()
    os.utime(old, (0, 0))
    args = value_of("workers.celery.logGroomerSidecar.args")
    command = [one.replace("/opt/airflow/logs", str(tmp_path)) for one in args]
    groomer = subprocess.Popen(command, start_new_session=True)
    try:
        wait_for("the old log's end", lambda: not old.exists())
        groomer.terminate()
        # Not -SIGTERM: what a signal ends by default, it does not end as process 1 of a container.
        assert groomer.wait(PATIENCE_S) == 0
        assert new.exists()
    finally:
        os.killpg(groomer.pid, signal.SIGKILL)


def test_the_image_is_ours_and_has_what_the_chart_expects_of_airflows() -> None:
    (airflow,) = re.findall(r"^apache-airflow==(\S+)$", (ROOT / "requirements/compose.in").read_text(), re.MULTILINE)
    assert (VALUES["airflowVersion"], value_of("images.airflow.tag")) == (airflow, __version__)
    # The chart's probes start /entrypoint, and its log groomers /clean-logs, which we replace.
    assert "> /entrypoint && chmod 0755 /entrypoint" in DOCKERFILE
    for workload in ("workers.celery", "scheduler", "dagProcessor", "triggerer"):
        assert "/clean-logs" not in str(value_of(workload)["logGroomerSidecar"]["args"])
    # Else the chart's own is mounted over the image's.
    assert "config/" in DOCKERFILE
    assert VALUES["airflowLocalSettings"] is None
