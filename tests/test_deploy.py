"""The examples for clusters can be read, and the commands in them are ours."""

import re
import shlex
import subprocess

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.test_commands import defined

DEPLOY = REPOSITORY / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
SCRIPTS = sorted((DEPLOY / "tpu").glob("*.sh"))


def commands(text: str) -> list[list[str]]:
    """The words of each command of ours, up to the end of its quotation or line."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [shlex.split(found.rstrip('" ')) for found in re.findall(r"python -m experiments\.[^\n]*", joined)]


def assert_ours(words: list[str]) -> None:
    program = words[2].removeprefix("experiments.")
    known = defined(program)
    assert {word.lstrip("-").partition("=")[0].partition(".")[0] for word in words[3:] if word.startswith("--")} <= known
    (config,) = [word.partition("=")[2].partition(":")[0] for word in words if word.startswith("--config=")]
    assert (REPOSITORY / config).exists()


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests(path):
    (manifest,) = yaml.safe_load_all(path.read_text())
    if manifest["kind"] == "JobSet":
        (replicated,) = manifest["spec"]["replicatedJobs"]
        job = replicated["template"]["spec"]
        name, domain = manifest["metadata"]["name"], manifest["spec"]["network"]["subdomain"]
        assert f"--coordinator={name}-{replicated['name']}-0-0.{domain}:" in path.read_text()
        assert f"--num_processes={job['completions']}\n" in path.read_text() and job["parallelism"] == job["completions"]
    else:
        assert manifest["kind"] == "Job"
        job = manifest["spec"]
    assert job["completionMode"] == "Indexed"
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [75]}
    assert pod["terminationGracePeriodSeconds"] >= 60
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    (script,) = container["args"]
    assert script.startswith("exec python")  # so that SIGTERM reaches Python and not the shell
    assert_ours(shlex.split(script.removeprefix("exec ")))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts(path):
    assert subprocess.run(["sh", "-n", path]).returncode == 0
    (words,) = commands(path.read_text().replace("\\$HOME", "HOME"))
    assert_ours(words)


def test_the_image_starts_a_program_with_what_the_project_offers():
    text = (DEPLOY / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "experiments.train"]' in text
    for name in re.search(r"^COPY (.*) \./$", text, re.MULTILINE)[1].split():
        assert (REPOSITORY / name).exists(), name
    extras = set(re.findall(r"^(\w+) = \[", (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE))
    assert set(re.findall(r"EXTRA=(\w+)", text)) <= extras
    (command,) = [line for line in text.splitlines() if "docker run" in line]
    assert (REPOSITORY / re.search(r"--config=([\w/.]+)", command)[1]).exists()
