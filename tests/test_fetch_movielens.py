"""The demo's data comes out of a wheel once, whole, and only with the right content."""

import hashlib
import importlib.util
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "fetch_movielens.py"
spec = importlib.util.spec_from_file_location("fetch_movielens", SCRIPT)
fetch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fetch)


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "recbole-0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/a.inter", "user item\n")
        archive.writestr("data/b.item", "item title\n")
    return path


def test_files_come_out_once_and_are_left_alone_then(wheel, tmp_path):
    digests = {
        "a.inter": hashlib.sha256(b"user item\n").hexdigest(),
        "b.item": hashlib.sha256(b"item title\n").hexdigest(),
    }
    target = tmp_path / "raw"
    fetch.unpack(wheel, target, digests, "data")
    assert fetch.missing(target, digests) == []
    stamp = (target / "a.inter").stat().st_mtime_ns
    (target / "b.item").write_text("cut short")
    fetch.unpack(wheel, target, digests, "data")
    assert (target / "a.inter").stat().st_mtime_ns == stamp
    assert (target / "b.item").read_text() == "item title\n"


def test_other_content_is_refused_and_nothing_is_left_behind(wheel, tmp_path):
    target = tmp_path / "raw"
    with pytest.raises(SystemExit, match=r"a\.inter .* is not the file"):
        fetch.unpack(wheel, target, {"a.inter": "0" * 64}, "data")
    assert list(target.iterdir()) == []
