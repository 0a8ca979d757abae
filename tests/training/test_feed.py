"""The petastorm feed gives each window once; the batches are the same for the same seed on every number of ranks."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakerec.errors import TrainingError
from lakerec.models.data import Histories
from lakerec.models.windows import windows
from lakerec.training.batches import WindowBatches
from lakerec.training.feed import read_windows

PAD = 1000


def read(*asked):
    return read_windows(*asked)[0]


def rows(users, seed=0):
    """gold/sequences of users whose train, valid and test events are known."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(users):
        items = rng.integers(0, PAD, rng.integers(3, 30)).tolist()
        parts = {"train": items[:-2], "valid": items[-2:-1], "test": items[-1:]}
        if rng.random() < 0.3:
            parts.pop("valid")
        names, past = list(parts), []
        for place, name in enumerate(names):
            following = names[place + 1] if place + 1 < len(names) else None
            found.append({
                "items": parts[name], "past": list(past), "split": name, "next_split": following,
                "times": when(len(past), len(parts[name])), "past_times": when(0, len(past)),
            })  # fmt: skip
            past += parts[name]
    return found


def when(first, count):
    return [1_000_000_000 + 7 * place**2 for place in range(first, first + count)]


def write(folder, rows, files=3, row_group_size=7):
    schema = pa.schema(
        [
            ("items", pa.list_(pa.int32())),
            ("past", pa.list_(pa.int32())),
            ("split", pa.string()),
            ("next_split", pa.string()),
            ("times", pa.list_(pa.int64())),
            ("past_times", pa.list_(pa.int64())),
        ]
    )
    paths = []
    for number in range(files):
        path = folder / f"part-{number}.parquet"
        known = pa.schema([field for field in schema if field.name in rows[0]])
        pq.write_table(pa.Table.from_pandas(pd.DataFrame(rows[number::files]), known), path, row_group_size=row_group_size)
        paths.append(path.as_uri())
    return paths


def expected(rows, until, width):
    """Windows of each user's last row at or before `until`, as a multiset."""
    order = ["train", "valid", "test"]
    allowed = order[: order.index(until) + 1]
    last = [row["past"] + row["items"] for row in rows if row["split"] in allowed and row["next_split"] not in allowed]
    histories = Histories.from_lists(last)
    return Counter(map(tuple, windows(histories.offsets, histories.items, width, PAD).tolist()))


def test_times_stand_behind_the_items_in_seconds_since_a_history_began(tmp_path):
    table = rows(23)
    found, _ = read_windows(write(tmp_path, table), "valid", 6, PAD, times=True)
    assert found.shape[1] == 12 and Counter(map(tuple, found[:, :6].tolist())) == expected(table, "valid", 6)
    first = found[:, 6] == 0
    for items, seconds in zip(found[first, :6], found[first, 6:], strict=True):
        assert seconds.tolist() == [7 * place**2 if item != PAD else 0 for place, item in enumerate(items)]
    offsets, items = np.array([0, 0, 4, 5, 7]), np.arange(7, dtype=np.int32)
    times = np.array([50, 51, 53, 90, 7, 0, 2**40])
    assert windows(offsets, items, 3, PAD, times).tolist() == [
        [0, 1, PAD, 0, 1, 0], [1, 2, 3, 1, 3, 40], [5, 6, PAD, 0, 2**31 - 1, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("until", ["train", "valid", "test"])
def test_every_window_up_to_the_split_is_there_once(tmp_path, until):
    table = rows(40)
    found = read(write(tmp_path, table), until, 6, PAD)
    assert Counter(map(tuple, found.tolist())) == expected(table, until, 6)


def test_reading_again_gives_the_same_in_the_same_order(tmp_path):
    files = write(tmp_path, rows(10), files=2)
    first = read(files, "test", 6, PAD)
    for _ in range(40):
        np.testing.assert_array_equal(read(files, "test", 6, PAD), first)


def test_only_the_named_files_are_read(tmp_path):
    files = write(tmp_path, rows(20))
    (tmp_path / "_common_metadata").write_bytes(b"not parquet at all")
    part = read(files[:1], "test", 6, PAD)
    assert len(part) < len(read(files, "test", 6, PAD))


def test_files_may_go_once_they_were_read_but_not_before(tmp_path):
    files = write(tmp_path, rows(20), files=1)
    found = read(files, "test", 6, PAD)
    (tmp_path / "part-0.parquet").unlink()
    assert sum(len(batch) for batch in WindowBatches(found, PAD, 8, 1).epoch(1)) == len(found)
    with pytest.raises(TrainingError, match="cannot be read"):
        read(files, "test", 6, PAD)


def test_nothing_to_predict_is_said(tmp_path):
    lonely = [{"items": [1], "past": [], "split": "train", "next_split": None}]
    with pytest.raises(TrainingError, match="nothing to predict"):
        read(write(tmp_path, lonely, files=1), "train", 6, PAD)


def batches(found, seed, number, rank=0, ranks=1):
    return [batch.tolist() for batch in WindowBatches(found, PAD, 8, seed, rank, ranks).epoch(number)]


def test_the_order_depends_on_seed_and_epoch_only(tmp_path):
    found = read(write(tmp_path, rows(23)), "test", 6, PAD)
    assert batches(found, 1, 1) == batches(found, 1, 1)
    assert batches(found, 1, 1) != batches(found, 1, 2)
    assert batches(found, 1, 1) != batches(found, 2, 1)
    assert sorted(row for batch in batches(found, 1, 1) for row in batch) == sorted(found.tolist())


@pytest.mark.parametrize("ranks", [2, 3, 40])
def test_ranks_have_equal_steps_and_share_the_batches_of_one(tmp_path, ranks):
    found = read(write(tmp_path, rows(23), files=1, row_group_size=1000), "test", 6, PAD)
    whole = batches(found, 1, 3)
    parts = [batches(found, 1, 3, rank, ranks) for rank in range(ranks)]
    assert {len(part) for part in parts} == {len(whole)}
    for step, batch in enumerate(whole):
        shared = [row for part in parts for row in part[step] if row[1] != PAD]
        assert sorted(shared) == sorted(batch)


def test_a_folder_with_a_blank_is_read(tmp_path):
    folder = tmp_path / "my lake"
    folder.mkdir()
    files = write(folder, rows(5), files=1)
    assert "%20" in files[0]
    assert len(read(files, "test", 6, PAD))


def test_a_file_that_goes_while_it_is_read_is_said(tmp_path, monkeypatch):
    from lakerec.training import feed

    files = write(tmp_path, rows(40), files=3, row_group_size=4)
    whole = feed._windows_of

    def vanish(*arguments):
        for path in tmp_path.glob("*.parquet"):
            path.unlink()
        return whole(*arguments)

    monkeypatch.setattr(feed, "_windows_of", vanish)
    with pytest.raises(TrainingError, match="cannot be read"):
        read(files, "test", 6, PAD)
