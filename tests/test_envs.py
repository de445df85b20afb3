"""The conda environments and the virtual environment hold the same versions."""

from pathlib import Path

import pytest
import yaml

ENVS = Path(__file__).parents[1] / "envs"


def pins(lines) -> dict[str, str]:
    return dict(line.strip().lower().split("==") for line in lines if "==" in line)


@pytest.mark.parametrize("name", ["cpu.yaml", "gpu.yaml"])
def test_versions_agree(name):
    ours = pins((ENVS / "requirements.txt").read_text("utf-8").splitlines())
    environment = yaml.safe_load((ENVS / name).read_text("utf-8"))
    listed = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    wanted = pins(listed)
    assert len(wanted) > 10
    assert {package: ours[package] for package in wanted if not package.startswith("cupy")} == {
        package: version for package, version in wanted.items() if not package.startswith("cupy")
    }
