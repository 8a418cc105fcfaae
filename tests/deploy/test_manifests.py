"""What clouds read is what they take: their own schemas and linters say so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sightline.deploy.manifests import MANIFESTS
from sightline.deploy.measure import Measured
from sightline.deploy.sizing import choose, choose_lambda

SCHEMAS = Path(__file__).parent / "schemas"
Deployment = Callable[[str], Path]


def schema(name: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def read(folder: Path, name: str) -> Any:
    return yaml.safe_load((folder / name).read_text())


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def test_cfn_lint_finds_nothing(deployment: Deployment) -> None:
    files = [str(deployment("aws") / name) for name in MANIFESTS["aws"]]
    done = subprocess.run([tool("cfn-lint"), "--include-checks", "I", "--", *files], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_lambda_starts_the_handler_in_the_measured_size(deployment: Deployment, measured: Measured) -> None:
    text = (deployment("aws") / "lambda.yaml").read_text()
    assert f"MemorySize: {choose_lambda(measured).memory_mib} " in text
    assert "Command: [sightline.serve.aws_lambda.handler]" in text
    from sightline.serve import aws_lambda

    assert callable(aws_lambda.handler)


@pytest.mark.parametrize("way", ["ecs", "apprunner"])
def test_containers_of_aws_are_of_the_measured_size(way: str, deployment: Deployment, measured: Measured) -> None:
    size = choose(measured, way)
    text = (deployment("aws") / f"{way}.yaml").read_text()
    assert f'Cpu: "{1024 * size.processors}"' in text
    assert f'Memory: "{size.memory_mib}"' in text


def test_kubernetes_takes_every_object(deployment: Deployment) -> None:
    import kubernetes_validate

    objects = list(yaml.safe_load_all((deployment("kubernetes") / "kubernetes.yaml").read_text()))
    assert [one["kind"] for one in objects] == [
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget",
    ]  # fmt: skip
    for one in objects:
        for version in ("1.30", "1.37"):
            kubernetes_validate.validate(one, version, strict=True)


def test_kubernetes_parts_name_each_other(deployment: Deployment) -> None:
    pods, service, scaler, budget = yaml.safe_load_all((deployment("kubernetes") / "kubernetes.yaml").read_text())
    labels = pods["spec"]["template"]["metadata"]["labels"]
    assert pods["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert scaler["spec"]["scaleTargetRef"]["name"] == pods["metadata"]["name"]
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    assert container["ports"][0]["name"] == service["spec"]["ports"][0]["targetPort"] == "http"
    patience = pods["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert patience >= 50 + 5  # what a request may take, and the pause before the signal


def test_cloud_run_takes_the_service(deployment: Deployment, measured: Measured) -> None:
    service = read(deployment("gcp"), "service.yaml")
    jsonschema.validate(service, schema("cloud-run-service"))
    (container,) = service["spec"]["template"]["spec"]["containers"]
    size = choose(measured, "gcp")
    assert container["resources"]["limits"] == {"cpu": f"{size.processors}", "memory": f"{size.memory_mib}Mi"}
    assert service["spec"]["template"]["spec"]["containerConcurrency"] == size.at_once


def test_container_apps_takes_its_resources(deployment: Deployment, measured: Measured) -> None:
    template = read(deployment("azure"), "containerapp.json")
    size = choose(measured, "azure")
    known = schema("azure-containerapps")
    checked = 0
    for resource in template["resources"]:
        kind = {"containerApps": "ContainerApp", "managedEnvironments": "ManagedEnvironment"}.get(
            resource["type"].partition("/")[2]
        )
        if kind:
            body = {key: value for key, value in resource.items() if key not in ("type", "apiVersion", "dependsOn")}
            jsonschema.validate(_evaluated(body), {"$ref": f"#/definitions/{kind}", **known})
            assert resource["apiVersion"] == "2026-07-01"  # the schema's
            checked += 1
    assert checked == 2
    (container,) = template["resources"][-1]["properties"]["template"]["containers"]
    assert _evaluated(container["resources"]) == {"cpu": size.processors, "memory": f"{size.memory_gib:g}Gi"}


def test_what_an_arm_template_names_is_there(deployment: Deployment) -> None:
    text = (deployment("azure") / "containerapp.json").read_text()
    template = json.loads(text)
    assert set(re.findall(r"parameters\('(\w+)'\)", text)) == set(template["parameters"])
    assert set(re.findall(r"variables\('(\w+)'\)", text)) == set(template["variables"])
    made = {resource["type"] for resource in template["resources"]} | {
        "Microsoft.ContainerRegistry/registries", "Microsoft.Authorization/roleDefinitions",
    }  # fmt: skip
    assert set(re.findall(r"'(Microsoft\.[\w/.]+)'", text)) <= made
    for expression in re.findall(r'"(\[.*?\])"', text):
        assert expression.count("(") == expression.count(")")


def test_compose_takes_the_file(deployment: Deployment, measured: Measured) -> None:
    composed = read(deployment("docker"), "compose.yaml")
    jsonschema.validate(composed, schema("compose"))
    assert composed["services"]["sightline"]["mem_limit"] == f"{choose(measured, 'docker').memory_mib}m"


@pytest.mark.parametrize(
    ("name", "place", "wrong"),
    [
        ("cloud-run-service", ("spec", "template", "spec"), {"containerConcurency": 3}),
        ("compose", ("services", "sightline"), {"prots": []}),
    ],
)
def test_the_schemas_find_a_slip(
    name: str, place: tuple[str, ...], wrong: dict[str, Any], deployment: Deployment
) -> None:
    target, file = {"cloud-run-service": ("gcp", "service.yaml"), "compose": ("docker", "compose.yaml")}[name]
    document = read(deployment(target), file)
    inner = document
    for key in place:
        inner = inner[key]
    inner.update(wrong)
    with pytest.raises(jsonschema.ValidationError, match=next(iter(wrong))):
        jsonschema.validate(document, schema(name))


@pytest.mark.parametrize("target", MANIFESTS)
def test_hadolint_finds_nothing(target: str, deployment: Deployment) -> None:
    done = subprocess.run([tool("hadolint"), str(deployment(target) / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def _evaluated(value: Any) -> Any:
    """`value` with ARM's [json('1.5')] carried out; other expressions are texts."""
    if isinstance(value, dict):
        return {key: _evaluated(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_evaluated(inner) for inner in value]
    number = re.fullmatch(r"\[json\('([0-9.]+)'\)\]", value) if isinstance(value, str) else None
    return json.loads(number[1]) if number else value
