"""Sessions of many and of long recordings. The profile's part in it is that of any session, so SLURM stands for all."""

import numpy as np
import pytest
import tifffile
import yaml

from lib.simulate import make_scene, simulate_recording

from .conftest import digests
from .run import ClusterRun
from .scheduler import wait_for

pytestmark = pytest.mark.only("slurm")
MANY, TOGETHER = 30, 5  # recordings, and how many of them are sent off as one


def test_many_recordings(scheduler, tmp_path):
    """Thirty recordings, several to a submission, are all there in the end, and nothing is left to do."""
    movie = simulate_recording(make_scene((48, 48), seed=1), frames=3, seed=2, rigid=1.0, nonrigid=0.0).movie
    for number in range(MANY):
        tifffile.imwrite(tmp_path / f"{number:02}.tif", movie, photometric="minisblack")
    settings = {"root": ".", "n_workers": 1, "flow_options": {"quality_setting": "fast", "alpha": 10}}
    (tmp_path / "session.yaml").write_text(yaml.safe_dump(settings))
    before = len(scheduler.submissions())
    run = ClusterRun(
        tmp_path, scheduler, "--group-components", f"recording={TOGETHER}", f"alignment={TOGETHER}", "--jobs", "20"
    )
    assert run.wait() == 0, run.output
    # stage 1, alignment, the center, and the last jobs of the session
    assert len(scheduler.submissions()) - before == 2 * MANY // TOGETHER + 1 + 1, run.output

    with np.load(tmp_path / "final_results/final_valid_idx.npz") as final:
        assert final["per_seq_valid_masks"].shape == (MANY, 48, 48)
        assert final["final_valid"].any()
    assert len(list(tmp_path.glob("final_results/aligned_*.tif"))) == MANY
    again = ClusterRun(tmp_path, scheduler)
    assert again.wait() == 0 and "Nothing to be done" in again.output, again.output
    assert len(scheduler.submissions()) - before == 2 * MANY // TOGETHER + 1 + 1


def test_shards(scheduler, fresh, local):
    """A recording whose frames several jobs compensate is the same, to the bit, as one that a single job does."""
    with open(fresh / "session.yaml", "a", encoding="utf-8") as settings:
        settings.write("shards: 2\n")
    before = len(scheduler.submissions())
    movie = "compensated_outputs/d_plain/compensated.hdf5"
    run = ClusterRun(fresh, scheduler, movie)
    assert run.wait() == 0, run.output
    wait_for(lambda: not scheduler.active(), "the queue is empty")
    found = {name: digest for name, digest in digests(fresh).items() if "/d_plain/" in name}
    assert movie in found and found == {name: local[name] for name in found}
    ran = [s for s in scheduler.submissions()[before:] if s.began]
    prepared, *shards, gathered = sorted(ran, key=lambda s: s.began)
    assert len(shards) == 2 and prepared.ended <= min(s.began for s in shards)
    assert max(s.ended for s in shards) <= gathered.began
