"""Our metrics against those of RecTools, which runs in an environment of its own, on random lists."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from lakerec.columns import Metrics
from lakerec.evaluation.beyond import Catalogue, coverage, shown_counts
from lakerec.evaluation.lists import ALL, user_figures

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
READY = Path("build/peers/rectools/.ready")
KS, USERS, ITEMS, DEPTH = [1, 3, 10, 25], 60, 80, 20
"""The last k is longer than the lists."""


@pytest.fixture(scope="module")
def python() -> Path:
    """Of RecTools' environment, which `make test-slow` makes beforehand."""
    found = ROOT / READY.parent / "bin" / "python"
    if not found.exists():
        subprocess.run(["make", "--silent", str(READY)], cwd=ROOT, check=True)
    return found


def questions(seed: int) -> dict[str, np.ndarray]:
    """Lists of 2 to DEPTH items, 1 to 12 targets a user; of the items some nobody met, many as many users as others."""
    rng = np.random.default_rng(seed)
    lists = np.argsort(rng.random((USERS, ITEMS)), axis=1)[:, :DEPTH].astype(np.int32)
    lists[np.arange(DEPTH) >= rng.integers(2, DEPTH + 1, USERS)[:, None]] = -1
    sizes = rng.integers(1, 13, USERS), rng.integers(1, 30, USERS)
    targets = [rng.choice(ITEMS, size, replace=False) for size in sizes[0]]
    met = [rng.choice(ITEMS - 10, size, replace=False) for size in sizes[1]]
    offsets = [np.concatenate([[0], np.cumsum(size)]) for size in sizes]
    return {
        "lists": lists, "targets": np.concatenate(targets), "target_offsets": offsets[0], "met": np.concatenate(met),
        "met_offsets": offsets[1], "num_items": np.array(ITEMS), "ks": np.array(KS), "vectors": rng.normal(size=(ITEMS, 8)),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_that_rectools_has_is_its_own_to_a_millionth(seed, python, tmp_path):
    asked = questions(seed)
    np.savez(tmp_path / "asked.npz", **asked)
    script = Path(__file__).with_name("peer_metrics.py")
    subprocess.run([python, script, tmp_path / "asked.npz", tmp_path / "told.npz"], check=True)
    told = dict(np.load(tmp_path / "told.npz"))

    vectors = asked["vectors"] / np.linalg.norm(asked["vectors"], axis=1, keepdims=True)
    catalogue = Catalogue(np.bincount(asked["met"], minlength=ITEMS), USERS, vectors)
    found = user_figures(asked["lists"], asked["target_offsets"], asked["targets"], ITEMS, KS, catalogue)
    ours = {f"{metric}@{k}": values for (part, metric, k), values in found.items() if part == ALL}
    ours |= {f"coverage@{k}": np.array(coverage(shown_counts(asked["lists"], ITEMS, k))) for k in KS}
    assert np.isnan(ours.pop(f"{Metrics.DIVERSITY}@1")).all(), "a list of one has no pairs; RecTools says 0"
    assert ours.keys() == told.keys()
    for name, values in told.items():
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=1e-6, err_msg=name)
        assert np.ptp(values) > 0 or name.startswith("coverage"), f"{name} is the same for everybody: nothing is compared"
