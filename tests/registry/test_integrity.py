"""Files of a package are compared one by one with a list whose digest the registry has."""

import pytest
import yaml
from lakerec.errors import IntegrityError
from lakerec.registry.integrity import LOADER, MANIFEST, check, check_listed, check_loader, digests, write_manifest

FLAVOR = {"loader_module": LOADER, "code": "code", "model_code_path": "/elsewhere/served_model.py"}


def mlmodel(folder, flavors):
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))


@pytest.fixture
def package(tmp_path):
    mlmodel(tmp_path, {"python_function": FLAVOR})
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "served.py").write_text("code")
    return tmp_path


def test_a_package_as_it_was_written_passes_whatever_mlflow_and_python_leave_in_it(package):
    digest = write_manifest(package)
    (package / "registered_model_meta").write_text("model_name: shop")
    (package / "code" / "__pycache__").mkdir()
    (package / "code" / "__pycache__" / "served.pyc").write_bytes(b"compiled")
    check(package, digest, "shop/1")
    assert set(digests(package)) == {"MLmodel", "code/served.py"}


def test_a_version_without_a_digest_is_refused(package):
    with pytest.raises(IntegrityError, match="shop/1 has no digest of its files"):
        check(package, None, "shop/1")


@pytest.mark.parametrize("name", ["code/served.py", "extra.bin", "code/registered_model_meta"])
def test_what_was_changed_or_added_is_named(package, name):
    digest = write_manifest(package)
    (package / name).write_text("other")
    with pytest.raises(IntegrityError, match=rf"shop/1 was altered after it was registered \({name}\): refused"):
        check(package, digest, "shop/1")


def test_a_file_that_is_gone_and_a_list_that_was_rewritten_are_named(package):
    digest = write_manifest(package)
    (package / "code" / "served.py").unlink()
    with pytest.raises(IntegrityError, match=r"\(code/served.py\)"):
        check(package, digest, "shop/1")
    write_manifest(package)
    with pytest.raises(IntegrityError, match=rf"\({MANIFEST}\)"):
        check(package, digest, "shop/1")


@pytest.mark.parametrize(
    "flavors",
    [
        {"python_function": FLAVOR | {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}},
        {"python_function": FLAVOR | {"loader_module": "os"}},
        {"python_function": FLAVOR | {"python_model": "python_model.pkl"}},
        {"python_function": FLAVOR | {"model_code_path": "/tmp/other.py"}},
        {"python_function": FLAVOR | {"code": ".."}},
        {"python_function": FLAVOR, "sklearn": {"pickled_model": "model.pkl"}},
        {},
    ],
)
def test_only_our_own_loader_is_accepted(package, flavors):
    check_loader(package, "shop/1")
    mlmodel(package, flavors)
    with pytest.raises(IntegrityError, match="shop/1: its MLmodel"):
        check_loader(package, "shop/1")


def test_an_mlmodel_that_would_call_something_is_refused_unread(package):
    (package / "MLmodel").write_text("flavors: !!python/object/apply:os.mkdir [called]\n")
    with pytest.raises(IntegrityError, match="MLmodel is none of lakerec's"):
        check_loader(package, "shop/1")


def test_files_of_one_folder_are_compared_by_themselves(package):
    write_manifest(package)
    (package / "MLmodel").write_text("other")
    check_listed(package, "this model", "code/")
    (package / "code" / "served.py").write_text("other")
    with pytest.raises(IntegrityError, match=r"this model was altered .*\(code/served.py\)"):
        check_listed(package, "this model", "code/")
