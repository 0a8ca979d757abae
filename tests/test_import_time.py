"""`import lakerec` and the command line start without the heavy libraries."""

import subprocess
import sys

HEAVY = ("torch", "pyspark", "mlflow", "pandas", "transformers", "petastorm", "matplotlib")


def test_the_command_line_imports_nothing_heavy():
    code = f"import sys, lakerec, lakerec.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_lakerec_takes_less_than_half_a_second():
    code = "import time; t = time.perf_counter(); import lakerec; print(time.perf_counter() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 0.5


def test_encoder_models_and_training_loop_need_no_spark():
    code = (
        "import sys; sys.modules['pyspark'] = None; sys.modules['petastorm'] = None; "
        "import lakerec.language.encoder, lakerec.models.catalog, lakerec.training.loop, lakerec.training.batches"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
