"""What the official chart makes of deploy/helm/values.yaml: every object, as Kubernetes would get it."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from unit.test_helm import DOCS, ENV, VALUES, value_of

ROOT = Path(__file__).parents[2]
IMAGE = f"{value_of('images.airflow.repository')}:{value_of('images.airflow.tag')}"
RELEASE = "airflow"  # the guide's
# Their paths in the values; what starts as the release does.
LONG_RUNNING = {
    "api-server": "apiServer",
    "dag-processor": "dagProcessor",
    "redis": "redis",
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "worker": "workers.celery",
}
MIGRATIONS = "run-airflow-migrations"

Render = Callable[..., list[dict[str, Any]]]


class Container(NamedTuple):
    workload: str
    pod: dict[str, Any]
    spec: dict[str, Any]

    @property
    def env(self) -> dict[str, Any]:
        return {one["name"]: one.get("value", one.get("valueFrom")) for one in self.spec.get("env") or []}

    @property
    def is_airflow(self) -> bool:
        return self.workload != "redis"

    @property
    def grooms_logs(self) -> bool:
        return str(self.spec["name"]).endswith("-log-groomer")


@pytest.fixture(scope="module")
def render() -> Render:
    helm = shutil.which(os.environ.get("HELM") or "helm")
    chart = os.environ.get("HELM_CHART")
    if helm is None or not chart:
        pytest.skip("needs Helm (HELM, or on PATH) and the official chart (HELM_CHART): `make test-helm` gets it")

    def run(*options: str) -> list[dict[str, Any]]:
        values = ROOT / "deploy" / "helm" / "values.yaml"
        command = [helm, "template", RELEASE, chart, "--namespace", "airflow", "--values", str(values), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return run


@pytest.fixture(scope="module")
def objects(render: Render) -> list[dict[str, Any]]:
    return render()


@pytest.fixture(scope="module")
def workloads(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What starts pods, by its name without the release's."""
    return {
        one["metadata"]["name"].removeprefix(f"{RELEASE}-"): one
        for one in objects
        if "template" in one.get("spec", {}) or "jobTemplate" in one.get("spec", {})
    }


@pytest.fixture(scope="module")
def containers(workloads: dict[str, dict[str, Any]]) -> list[Container]:
    """Each container of each pod; the first ones of a pod are those that run before the others."""
    return list(_containers(workloads))


def _containers(workloads: dict[str, dict[str, Any]]) -> Iterator[Container]:
    for name, workload in workloads.items():
        pod = workload["spec"]["template"]["spec"]
        for spec in (pod.get("initContainers") or []) + pod["containers"]:
            yield Container(name, pod, spec)


@pytest.fixture(scope="module")
def airflow_cfg(objects: list[dict[str, Any]]) -> configparser.ConfigParser:
    (text,) = [one["data"]["airflow.cfg"] for one in objects if "airflow.cfg" in one.get("data", {})]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def test_nothing_is_made_of_what_is_switched_off(
    objects: list[dict[str, Any]], workloads: dict[str, dict[str, Any]]
) -> None:
    assert workloads.keys() == {*LONG_RUNNING, MIGRATIONS}
    kinds = {one["kind"] for one in objects}
    assert kinds == {"ConfigMap", "Deployment", "Job", "Service", "ServiceAccount", "StatefulSet"}
    assert named(objects, "Service").keys() == {
        f"{RELEASE}-{name}" for name in ("api-server", "redis", "triggerer", "worker")
    }


def test_names_are_those_of_the_guide(objects: list[dict[str, Any]]) -> None:
    assert re.findall(r"deploy/(\S+)", DOCS)[-1] in named(objects, "Deployment")
    ((host, port),) = re.findall(r"redis://:\$REDIS_PASSWORD@(\S+):(\d+)/", DOCS)
    (redis,) = named(objects, "Service")[host]["spec"]["ports"]
    assert redis["port"] == int(port)


def test_every_container_of_airflow_has_our_image(render: Render, containers: list[Container]) -> None:
    assert {one.spec["image"] for one in containers if one.is_airflow} == {IMAGE}
    digest = f"sha256:{'0' * 64}"
    for one in render("--set", f"images.airflow.digest={digest}"):
        if one["kind"] in ("Deployment", "Job"):
            for container in one["spec"]["template"]["spec"]["containers"]:
                assert container["image"] == f"{value_of('images.airflow.repository')}@{digest}"


def test_settings_and_the_candles_connection_reach_all_that_runs_airflow(containers: list[Container]) -> None:
    (candles,) = VALUES["secret"]
    reference = {"secretKeyRef": {"name": candles["secretName"], "key": candles["secretKey"]}}
    expected = ENV | {candles["envName"]: reference}
    runs_airflow = [one for one in containers if one.is_airflow and not one.grooms_logs]
    # A pod's own, with one before it that waits; and the job.
    assert len(runs_airflow) == 2 * (len(LONG_RUNNING) - 1) + 1
    for one in runs_airflow:
        assert one.env.items() >= expected.items(), (one.workload, one.spec["name"])


def test_each_secret_of_the_guide_is_used_by_name_and_none_is_literal(
    objects: list[dict[str, Any]], containers: list[Container]
) -> None:
    used = {
        (value["secretKeyRef"]["name"], value["secretKeyRef"]["key"])
        for one in containers
        for value in one.env.values()
        if isinstance(value, dict)
    }
    assert used == set(re.findall(r"create secret generic (\S+) --from-literal=([\w-]+)=", DOCS))
    assert named(objects, "Secret") == {}
    for one in containers:
        assert not one.grooms_logs or not any(isinstance(value, dict) for value in one.env.values())
        literal = {name for name, value in one.env.items() if isinstance(value, str)}
        assert not [name for name in literal if re.search(r"PASSWORD|SECRET|KEY|CONN|BROKER|BACKEND", name)]
    assert not re.search(r"://[^/\s]*@", yaml.safe_dump(objects))


def test_keys_reach_who_signs_and_who_checks(containers: list[Container]) -> None:
    main = {one.workload: one.env for one in containers if one.spec["name"] == one.workload}
    for name, path, readers in (
        ("AIRFLOW__API__SECRET_KEY", "apiSecretKeySecretName", ("api-server", "worker", "triggerer")),  # logs
        ("AIRFLOW__API_AUTH__JWT_SECRET", "jwtSecretName", ("api-server", "scheduler")),  # tasks
        ("AIRFLOW__CELERY__BROKER_URL", "data.brokerUrlSecretName", ("scheduler", "worker")),
        ("AIRFLOW__CORE__FERNET_KEY", "fernetKeySecretName", LONG_RUNNING.keys() - {"redis"}),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "data.metadataSecretName", main.keys() - {"redis"}),
        ("REDIS_PASSWORD", "redis.passwordSecretName", ("redis",)),
    ):
        assert {main[reader][name]["secretKeyRef"]["name"] for reader in readers} == {value_of(path)}, name


def test_no_container_runs_as_root_or_gains_rights(containers: list[Container]) -> None:
    for one in containers:
        pod, own = one.pod["securityContext"], one.spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, one.spec["name"]


def test_every_container_has_bounds(containers: list[Container]) -> None:
    for one in containers:
        resources = one.spec["resources"]
        assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}, one.spec["name"]
    for name, path in [*LONG_RUNNING.items(), (MIGRATIONS, "migrateDatabaseJob")]:
        main = next(one for one in containers if one.workload == name and one.spec["name"] == name)
        assert main.spec["resources"] == value_of(path)["resources"]


def test_no_pod_may_ask_the_kubernetes_api_or_gets_its_neighbours_addresses(
    objects: list[dict[str, Any]], containers: list[Container]
) -> None:
    accounts = named(objects, "ServiceAccount")
    for one in containers:
        account = accounts[one.pod["serviceAccountName"]]
        granted = one.pod.get("automountServiceAccountToken", account.get("automountServiceAccountToken"))
        assert granted is False, one.workload
        assert not one.is_airflow or one.pod["enableServiceLinks"] is False, one.workload


def test_replicas_and_airflows_own_configuration_are_those_of_the_values(
    objects: list[dict[str, Any]], workloads: dict[str, dict[str, Any]], airflow_cfg: configparser.ConfigParser
) -> None:
    replicas = {name: workload["spec"].get("replicas", 1) for name, workload in workloads.items()}
    chosen = {
        name: value_of(LONG_RUNNING[name])["replicas"] for name in ("api-server", "scheduler", "triggerer", "worker")
    }
    assert replicas == chosen | {"dag-processor": 1, "redis": 1, MIGRATIONS: 1}
    assert airflow_cfg["core"]["executor"] == VALUES["executor"]
    assert airflow_cfg["core"]["dags_folder"] == "/opt/airflow/dags"
    assert airflow_cfg["celery"]["worker_concurrency"] == str(value_of("config.celery.worker_concurrency"))
    assert airflow_cfg["metrics"]["statsd_on"] == "False"
    host, port = re.findall(r"^http://([^:/]+):(\d+)/", airflow_cfg["core"]["execution_api_server_url"])[0]
    (served,) = named(objects, "Service")[host]["spec"]["ports"]
    assert served["port"] == int(port)


def test_a_rolling_upgrade_lets_a_fill_end_and_an_api_server_answer(workloads: dict[str, dict[str, Any]]) -> None:
    worker = workloads["worker"]
    assert worker["spec"].get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate"
    grace_s = worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s == value_of("workers.celery.terminationGracePeriodSeconds")
    assert workloads["api-server"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_the_candles_schema_is_made_before_airflows_and_pods_wait_for_that(
    workloads: dict[str, dict[str, Any]], containers: list[Container]
) -> None:
    job = workloads[MIGRATIONS]
    (migrate,) = job["spec"]["template"]["spec"]["containers"]
    assert migrate["args"] == ["bash", "-c", "backfill migrate && exec airflow db migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    waiting = {one.workload for one in containers if "check-migrations" in (one.spec.get("args") or [])}
    assert waiting == LONG_RUNNING.keys() - {"redis"}


def test_what_is_mounted_is_there_and_covers_nothing_of_the_image(
    objects: list[dict[str, Any]], workloads: dict[str, dict[str, Any]], containers: list[Container]
) -> None:
    (universe,) = VALUES["volumeMounts"]
    maps = {*named(objects, "ConfigMap"), *re.findall(r"create configmap (\S+) ", DOCS)}
    for one in containers:
        templates = workloads[one.workload]["spec"].get("volumeClaimTemplates", [])
        claims = {template["metadata"]["name"] for template in templates}
        volumes = {volume["name"]: volume for volume in one.pod["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in one.spec["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} <= volumes.keys() | claims
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= maps
        if one.is_airflow:
            # As a folder: Kubernetes renews the file while the pod runs.
            assert mounts[universe["mountPath"]] == universe
            covered = [path for path in mounts if re.match(r"/opt/airflow/(config|dags|include|plugins)", path)]
            assert covered == [], one.spec["name"]
        assert not one.grooms_logs or mounts["/opt/airflow/logs"]["name"] == "logs"


def test_a_pod_that_hangs_is_started_again_and_the_groomer_hears_that_its_pod_ends(
    containers: list[Container],
) -> None:
    mains = {one.workload: one.spec for one in containers if one.spec["name"] == one.workload and one.is_airflow}
    probes = {name: spec["livenessProbe"] for name, spec in mains.items() if name != MIGRATIONS}
    assert probes.pop("api-server")["httpGet"]["port"] == mains["api-server"]["ports"][0]["containerPort"]
    assert probes.keys() == {"dag-processor", "scheduler", "triggerer", "worker"}
    for probe in probes.values():
        assert "exec /entrypoint " in probe["exec"]["command"][-1]
        assert probe["timeoutSeconds"] == value_of("workers.celery.livenessProbe.timeoutSeconds")
    for name, path in (("api-server", "apiServer"), ("scheduler", "scheduler")):
        assert mains[name]["startupProbe"].items() >= value_of(path)["startupProbe"].items()
    groomers = {one.workload: one.spec["args"] for one in containers if one.grooms_logs}
    assert groomers == dict.fromkeys(probes, value_of("workers.celery.logGroomerSidecar.args"))
