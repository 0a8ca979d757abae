"""Two ranks on this machine, without Spark."""

import os
import subprocess
import sys
from pathlib import Path


def on_two_ranks(script: str, folder: Path) -> None:
    """Run a script's text on two ranks that meet; its argument is the folder."""
    place = folder / "rank.py"
    place.write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(place), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
