"""Delta's jars, resolved once at set-up, so that every later start needs no network.

python -m lakerec.lake.jars     resolve through Spark's own Ivy, keep them beside the environment
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lakerec.errors import EnvironmentProblem


def jar_folder() -> Path:
    """Where set-up keeps the jars: inside the environment, one folder a Delta version."""
    try:
        return Path(sys.prefix) / "share" / "lakerec" / "jars" / version("delta-spark")
    except PackageNotFoundError:
        return Path(sys.prefix) / "share" / "lakerec" / "jars" / "none"


def jar_files() -> list[Path]:
    """The resolved jars; empty before set-up."""
    return sorted(jar_folder().glob("*.jar"))


def resolve() -> list[Path]:
    """Resolve Delta's jars through Spark's Ivy, if they are not there yet.

    Ivy looks under a home folder of its own: a ~/.m2 that holds POMs without their jars would make it fail.

    Raises:
        EnvironmentProblem: Ivy could not fetch them.
    """
    from lakerec.lake.java import require_java
    from lakerec.lake.session import delta_package

    if jar_files():
        return jar_files()
    require_java()
    import pyspark

    with tempfile.TemporaryDirectory() as home:
        program = Path(home) / "resolved.py"
        program.write_text("", encoding="utf-8")
        command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", "local[1]", "--packages"]
        command += [delta_package(), "--conf", f"spark.jars.ivy={home}/ivy", str(program)]
        environment = {**os.environ, "SPARK_SUBMIT_OPTS": f"-Duser.home={home}", "PYSPARK_PYTHON": sys.executable}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        jars = list(Path(home, "ivy", "jars").glob("*.jar"))
        if done.returncode or not jars:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise EnvironmentProblem(f"Delta's jars could not be resolved: {lines[-1] if lines else 'no answer'}")
        return _keep(jars)


def _keep(jars: list[Path]) -> list[Path]:
    """Move the jars to their folder in one step, so that a kill never leaves half of them."""
    folder = jar_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent))
    for jar in jars:
        shutil.copy2(jar, staged / jar.name)
    staged.rename(folder)
    return jar_files()


if __name__ == "__main__":
    try:
        resolve()
    except EnvironmentProblem as problem:
        sys.exit(f"error: {problem}")
