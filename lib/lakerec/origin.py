"""Where this code was imported from: a folder, or the wheel that spark-submit was given by --py-files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import lakerec

PACKAGE = "lakerec"


def archive() -> Path | None:
    """The wheel or zip that lakerec was imported from; None where it lies in a folder."""
    above = Path(lakerec.__file__).parent.parent
    return above if above.is_file() else None


def package_folder(temporary: Path) -> Path:
    """The package as a folder of files; out of an archive, it is unpacked into `temporary` first."""
    packed = archive()
    if packed is None:
        return Path(lakerec.__file__).parent
    with zipfile.ZipFile(packed) as wheel:
        wheel.extractall(temporary, [name for name in wheel.namelist() if name.startswith(f"{PACKAGE}/")])
    return temporary / PACKAGE
