"""Finds Java, and says how to get it where there is none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from lakerec.errors import EnvironmentProblem

OLDEST = 17
ADVICE = (
    "install it with `apt-get install -y openjdk-17-jre-headless` (Debian, Ubuntu), `brew install openjdk@17` (macOS) "
    "or `conda install -c conda-forge openjdk=17`"
)


def java_version() -> int | None:
    """Major version of the Java that Spark would start; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not program:
        return None
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if answer.returncode == 0 and found else None


def require_java() -> int:
    """Major version of Java.

    Raises:
        EnvironmentProblem: none was found, or it is older than Spark 4 needs.
    """
    found = java_version()
    if found is None:
        raise EnvironmentProblem(f"Java was not found and Spark needs {OLDEST} or newer: {ADVICE}")
    if found < OLDEST:
        raise EnvironmentProblem(f"Java {found} was found and Spark needs {OLDEST} or newer: {ADVICE}")
    return found
