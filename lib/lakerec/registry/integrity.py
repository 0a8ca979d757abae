"""Whether a registered version's files are those that were registered; asked before anything of them is read.

    package, as logged ─ SHA-256 of each file ─► manifest.json, logged beside them ─ its SHA-256 ─► tag of the version
    version, copied    ─ manifest.json by the tag ─► each file by manifest.json ─► MLmodel names our loader ─► may be read

The tag is the registry's: who can write to the artifact store alone cannot change it. Who can write to the registry as well
can register what they like. What is checked is a copy, and the copy is what is read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from lakerec.errors import IntegrityError
from lakerec.registry.tracking import Tracker

MANIFEST, DIGEST = "manifest.json", "files_sha256"
"""File of the package that lists the others; tag of the version with that file's SHA-256."""
REMEDY = "roll back to another version, or delete it from the registry and run `lakerec promote --force`"
CODE, SERVED = "code", "served_model.py"
LOADER = "mlflow.pyfunc.loaders.code_model"
"""What loads a model of MLflow from code; all others read a pickle or import what MLmodel names."""
CACHES = "__pycache__"
"""Python leaves these in a package that is loaded where it lies. They are neither listed nor copied."""
MLFLOWS = "registered_model_meta"
"""Name and version, which MLflow writes into a package that it hands out."""


def digests(folder: Path, under: str = "") -> dict[str, str]:
    """SHA-256 of each file of a package whose path in there begins with `under`, by that path; not of the list itself."""
    files = (path for path in folder.rglob("*") if not path.is_dir() and CACHES not in path.relative_to(folder).parts)
    names = {path.relative_to(folder).as_posix(): path for path in files}
    chosen = (name for name in names if name.startswith(under) and name not in (MANIFEST, MLFLOWS))
    return {name: file_digest(names[name]) for name in chosen}


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> str:
    """List a package's files in it; gives the list's own digest, for the tag."""
    path = folder / MANIFEST
    path.write_text(json.dumps(digests(folder), indent=0, sort_keys=True), encoding="utf-8")
    return file_digest(path)


def check(folder: Path, digest: str | None, what: str) -> None:
    """Compare a package with what was registered.

    Args:
        digest: the version's tag; None: it has none.
        what: name and version, for the message.

    Raises:
        IntegrityError: a file was altered, added or taken away, or MLmodel has something else loaded than lakerec's code.
    """
    if digest is None:
        raise IntegrityError(f"{what} has no digest of its files, so no change would be noticed: refused; {REMEDY}")
    listed = folder / MANIFEST
    if not listed.is_file() or file_digest(listed) != digest:
        raise _altered(what, [MANIFEST])
    check_listed(folder, what)
    check_loader(folder, what)


def check_listed(folder: Path, what: str, under: str = "") -> None:
    """Compare the files whose path begins with `under` with the package's own list.

    Raises:
        IntegrityError: they differ.
    """
    expected, found = json.loads((folder / MANIFEST).read_text(encoding="utf-8")), digests(folder, under)
    expected = {name: digest for name, digest in expected.items() if name.startswith(under)}
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        raise _altered(what, differing)


def check_loader(folder: Path, what: str) -> None:
    """Whether MLmodel has nothing loaded but the package's own served_model.py.

    Raises:
        IntegrityError: it names another loader, a pickle or code elsewhere.
    """
    try:
        flavors: Any = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        ours = flavors["python_function"]
        named = {"loader_module": ours["loader_module"], "code": ours["code"], "model": Path(ours["model_code_path"]).name}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise IntegrityError(f"{what}: its MLmodel is none of lakerec's: refused; {REMEDY}") from error
    wanted = {"loader_module": LOADER, "code": CODE, "model": SERVED}
    if named != wanted or len(flavors) > 1 or "python_model" in ours or "data" in ours:
        raise IntegrityError(f"{what}: its MLmodel has {named['loader_module']} load it: refused; {REMEDY}")


def checked(tracker: Tracker, name: str, version: str, into: Path) -> Path:
    """A copy of a registered version's files that is known to be whole; serve it where altered files are to be feared.

    Args:
        into: an empty folder.

    Raises:
        IntegrityError: see `check`.
    """
    tags = tracker.client.get_model_version(name, version).tags
    uri = f"models:/{name}/{version}"
    folder = Path(tracker.mlflow.artifacts.download_artifacts(uri, dst_path=str(into)))
    check(folder, tags.get(DIGEST), f"{name}/{version}")
    for cache in list(folder.rglob(CACHES)):
        shutil.rmtree(cache)
    return folder


def _altered(what: str, names: list[str]) -> IntegrityError:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return IntegrityError(f"{what} was altered after it was registered ({names[0]}{more}): refused; {REMEDY}")
