"""What the Tab key offers in bash."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "completion.bash"


def offered(*words: str) -> set[str]:
    """Return what is offered for the last word, as bash takes the line apart."""
    snakemake = Path(sys.executable).with_name("snakemake")
    code = f'source "{SCRIPT}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _flowsession; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", code, "bash", snakemake, *words], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "words, some",
    [
        (["exp"], {"export_suite2p", "export_caiman", "export_nwb", "export_traces"}),
        (["--cores", "2", "st"], {"stage1", "stage2"}),
        (["-n", "--rerun-i"], {"--rerun-incomplete"}),
        (["--config", "align_"], {"align_from=", "align_output_format="}),
        (["--config", "align_output_format", "=", "T"], {"TIFF"}),
        (["--config", "center", "="], {"middle", "auto"}),
        (["--config", "mask_exclude_outliers", "=", ""], {"True", "False"}),
        (["--profile", ""], {str(SCRIPT.parents[1] / "profiles" / "slurm")}),
    ],
)
def test_what_is_offered(words, some):
    found = offered(*words)
    assert found >= some, found
    start = words[-1].replace("=", "")
    assert all(word.startswith(start) for word in found)


def test_bash_knows_what_to_complete():
    done = subprocess.run(["bash", "-c", f'source "{SCRIPT}"; complete -p snakemake'], capture_output=True, text=True)
    assert "_flowsession" in done.stdout
