"""The files by which others run the checks say what the Makefile and pyproject.toml say."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_target_is_helped_with_and_there():
    assert set(re.findall(r'^\t@echo "make ([\w-]+)', MAKEFILE, re.MULTILINE)) | {"help"} == TARGETS
    assert set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE)) >= TARGETS


def test_a_commit_is_checked_as_make_check_does():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["entry"], hook["language"]) == ("local", "make check", "system")
    assert hook["always_run"]
    assert not hook["pass_filenames"]


def test_the_hosted_matrix_runs_what_a_developer_types():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {".ci/run", "make test"} <= set(commands)
    matrix = jobs["test"]["strategy"]["matrix"]
    assert f">={matrix['python'][0]}" == PROJECT["requires-python"]
    assert (matrix["torch"], matrix["machine"]) == (["oldest", "pinned"], ["ubuntu-24.04", "ubuntu-24.04-arm"])


def test_what_is_named_in_ci_run_is_there():
    assert set(re.findall(r"^make ([\w-]+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)) <= TARGETS


def pins(path: str) -> dict[str, str]:
    lines = [line for line in (ROOT / path).read_text().splitlines() if not line.startswith("#")]
    return dict(line.lower().replace("_", "-").split("==") for line in lines)


def test_what_is_pinned_is_what_is_allowed():
    """The oldest PyTorch is that of pyproject.toml; every package of a developer is pinned."""
    names = [*PROJECT["dependencies"], *(x for extra in PROJECT["optional-dependencies"].values() for x in extra)]
    wanted = {re.match(r"[\w.-]+", name)[0].lower().replace("_", "-") for name in names} - {"regard"}
    pinned, oldest = pins("constraints.txt"), pins(".ci/oldest.txt")
    assert wanted <= set(pinned)
    assert set(oldest) <= set(pinned)
    assert f"torch>={oldest['torch'].removesuffix('.0')}" in PROJECT["dependencies"]
