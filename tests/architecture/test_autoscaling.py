"""What reads the files of deploy/kubernetes that no schema of Kubernetes is for.

KEDA's objects and kustomize's own file: held to the fields that their documentation names, not to a schema of theirs.
"""

import copy
from collections.abc import Iterator
from typing import Any, Final

import kubernetes_validate
import pytest

from sensorbus.contract.settings import load
from sensorbus.contract.topics import BY_NAME
from tests.support.manifests import container, documents, workloads
from tests.support.rights import rights

#: The oldest and the newest Kubernetes that the manifests are for.
VERSIONS: Final = ("1.30", "1.37")
HEAD: Final = {"apiVersion": str, "kind": str, "metadata": {"name": str}}
#: The documented fields that we use, with their types; another is a misspelling, or new here.
SCALED_OBJECT: Final = HEAD | {
    "spec": {
        "scaleTargetRef": {"name": str},
        "minReplicaCount": int,
        "maxReplicaCount": int,
        "pollingInterval": int,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": dict}},
        "triggers": [
            {
                "type": str,
                "metadata": {
                    "bootstrapServers": str,
                    "consumerGroup": str,
                    "topic": str,
                    "lagThreshold": str,
                    "offsetResetPolicy": str,
                },
                "authenticationRef": {"name": str},
            }
        ],
    }
}
AUTHENTICATION: Final = HEAD | {"spec": {"secretTargetRef": [{"parameter": str, "name": str, "key": str}]}}
KUSTOMIZATION: Final = {
    "apiVersion": str,
    "kind": str,
    "namespace": str,
    "resources": [str],
    "images": [{"name": str, "newName": str, "newTag": str}],
}
SCALED, SECRETS = documents("kubernetes/autoscaling-by-lag.yaml")
(KUSTOMIZED,) = documents("kubernetes/kustomization.yaml")
FILES: Final = {
    "ScaledObject": (SCALED, "keda.sh/v1alpha1", SCALED_OBJECT),
    "TriggerAuthentication": (SECRETS, "keda.sh/v1alpha1", AUTHENTICATION),
    "Kustomization": (KUSTOMIZED, "kustomize.config.k8s.io/v1beta1", KUSTOMIZATION),
}


def faults(found: Any, shape: Any, place: str = "") -> Iterator[str]:
    """Yield where a document has other fields or types than documented, or lacks one."""
    if isinstance(shape, type):
        if type(found) is not shape:
            yield f"{place}: {found!r} is no {shape.__name__}"
    elif not isinstance(found, type(shape)):
        yield f"{place}: {found!r}"
    elif isinstance(shape, list):
        for number, each in enumerate(found):
            yield from faults(each, shape[0], f"{place}[{number}]")
    else:
        yield from (f"{place}.{name}" for name in sorted(found.keys() ^ shape.keys()))
        for name in found.keys() & shape.keys():
            yield from faults(found[name], shape[name], f"{place}.{name}")


@pytest.mark.parametrize("kind", FILES)
def test_a_document_has_the_documented_fields(kind: str) -> None:
    """No other, and each with its type: what KEDA does not know it leaves out without a word."""
    document, version, shape = FILES[kind]
    assert (document["kind"], document["apiVersion"]) == (kind, version)
    assert list(faults(document, shape)) == []


def test_a_misspelt_or_mistyped_field_is_found() -> None:
    """The check can fail, at any depth."""
    wrong = copy.deepcopy(SCALED)
    wrong["spec"]["triggers"][0]["metadata"] |= {"lagThreshold": 20000, "consumergroup": "a"}
    del wrong["spec"]["scaleTargetRef"]["name"]
    at = ".spec.triggers[0].metadata"
    assert set(faults(wrong, SCALED_OBJECT)) == {
        ".spec.scaleTargetRef.name",
        f"{at}.consumergroup",
        f"{at}.lagThreshold: 20000 is no str",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_what_keda_makes_of_it_is_what_kubernetes_allows(version: str) -> None:
    """KEDA hands the bounds and the behavior on to an autoscaler of Kubernetes, for which there is a schema."""
    spec = SCALED["spec"]
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"keda-hpa-{SCALED['metadata']['name']}"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]},
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            **spec["advanced"]["horizontalPodAutoscalerConfig"],
        },
    }
    kubernetes_validate.validate(autoscaler, version, strict=True)
    assert workloads()[spec["scaleTargetRef"]["name"]]["kind"] == "Deployment"  # what KEDA takes, if no kind is named


def test_keda_gets_in_as_the_parts_do() -> None:
    """At their address, with what the kafka scaler wants for SCRAM over TLS, from the secret of its own."""
    (trigger,) = SCALED["spec"]["triggers"]
    (settings,) = documents("kubernetes/settings.yaml")
    assert trigger["type"] == "kafka"
    assert trigger["metadata"]["bootstrapServers"] == settings["data"]["SENSORBUS_KAFKA_BOOTSTRAP_SERVERS"]
    assert trigger["metadata"]["offsetResetPolicy"] in {"earliest", "latest"}
    assert int(trigger["metadata"]["lagThreshold"]) > 0
    assert trigger["authenticationRef"]["name"] == SECRETS["metadata"]["name"]
    parameters = {each["parameter"] for each in SECRETS["spec"]["secretTargetRef"]}
    assert parameters == {"sasl", "username", "password", "tls", "ca"}


def test_scaling_by_lag_looks_at_the_jobs_own_group() -> None:
    """The group and the topic are those of the code, and what `keda` may see; no more replicas than partitions."""
    from processors.application import JOBS  # noqa: PLC0415  # Quix takes a second to import

    job, settings = SCALED["spec"]["scaleTargetRef"]["name"], load({})[0]
    (trigger,) = SCALED["spec"]["triggers"]
    group, topic = trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"]
    assert group == settings.consumer_group(job)
    assert BY_NAME[topic] in JOBS[job][0]
    assert SCALED["spec"]["maxReplicaCount"] == settings.topic_partitions
    seen = {(each.kind, each.name): each.operations for each in rights("") if each.user == "keda"}
    assert seen == {("TOPIC", topic): ["DESCRIBE"], ("GROUP", group): ["DESCRIBE"]}


def test_kustomize_renames_an_image_that_is_there() -> None:
    """An image that no pod names would leave every pod with the one of this machine."""
    names = {container(each)["image"].partition(":")[0] for each in workloads().values()}
    assert {each["name"] for each in KUSTOMIZED["images"]} == names
