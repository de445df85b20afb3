"""What the CUDA kernels do with one frame, counted while they run on the host; prints JSON. See `gpu`.

For {preset: {kernel: [launches, operations, bytes asked for, bytes read, bytes written]}}.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "gpu"))  # the stand-in, also where there is a GPU

import numpy as np  # noqa: E402
from cupy.cuda import _kernels  # noqa: E402

from lib.flow import FlowEstimator, FlowParams  # noqa: E402
from lib.simulate import make_scene, simulate_recording  # noqa: E402


def main() -> None:
    _kernels.HEADER = "count.h"
    size = int(sys.argv[1])
    made = simulate_recording(make_scene((size, size), 1), frames=1, seed=1)
    presets = {}
    for quality in ("fast", "balanced", "quality"):
        estimator = FlowEstimator(made.clean.astype(np.float32), FlowParams(quality=quality), backend="cupy")
        _kernels.Kernel.counts.clear()
        estimator.register_frames(made.movie, keep_w=False, compact=True)
        kernels = presets[quality] = {}
        for name, *counts in _kernels.Kernel.counts:
            kernels[name] = [a + b for a, b in zip(kernels.get(name, [0] * 5), [1, *counts], strict=True)]
    print(json.dumps(presets))


if __name__ == "__main__":
    main()
