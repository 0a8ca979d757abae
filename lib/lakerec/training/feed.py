"""gold/sequences to training windows, through petastorm: the only module that knows it.

    live files of one version → make_batch_reader → a row group at a time → its histories cut into windows
        → an unnamed file on local disk, mapped into memory → batches in a new order each epoch (training/batches.py)

petastorm is given file lists, never a folder: a Delta folder also holds removed files, and a planted `_common_metadata`
would be unpickled. Parquet is decoded once, not once an epoch, and memory holds one row group and what the kernel caches.
The file has no name, so nothing is left behind when the process is killed.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd

from lakerec.columns import Columns as C
from lakerec.columns import Splits
from lakerec.errors import TrainingError
from lakerec.models.windows import hold_new, windows
from lakerec.training.seen import Seen

# petastorm 0.13 reads through interfaces that pyarrow 14 calls old, from modules of both.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm|pyarrow")
logging.getLogger("petastorm").setLevel(logging.ERROR)

BLOCK, NEW = "block", "new"
COLUMNS = (C.ITEMS, C.PAST, C.SPLIT, C.NEXT_SPLIT)
LATER_THAN_ALL = len(Splits.ALL)


def read_windows(
    files: Sequence[str], until: str, width: int, pad: int, seen: Seen | None = None, times: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of all histories up to and including a split.

    Args:
        files: Parquet files (URIs) of one pinned version of gold/sequences.
        until: the last split that may be seen.
        width: events in a window.
        pad: fills windows of short histories, on the right.
        seen: what an earlier fit learned from; None: nothing.
        times: whether windows are twice as wide, the seconds at which the events came behind these.

    Returns:
        int32 [windows, width] (or twice as wide), backed by a file that goes when the array does; and which of the windows
        hold an event to predict that is not among those seen, bool [windows].

    Raises:
        TrainingError: a file is gone, or no history has two events.
    """
    new, wide = [], 2 * width if times else width
    with tempfile.TemporaryFile(prefix="lakerec-windows-") as file:
        for block, flags in _blocks(list(files), until, width, pad, seen, times):
            file.write(block)
            new.append(np.frombuffer(flags, dtype=bool))
        file.flush()
        count = file.tell() // (4 * wide)
        if not count:
            raise TrainingError(f"no history up to the {until} split has two events: there is nothing to predict")
        return np.memmap(file, dtype=np.int32, mode="c", shape=(count, wide)), np.concatenate(new)


def _blocks(
    files: list[str], until: str, width: int, pad: int, seen: Seen | None, times: bool
) -> Iterator[tuple[bytes, bytes]]:
    """The windows of one row group after another, as int32 bytes, and a byte for each that says whether it is new.

    The reader works in this thread: petastorm's pool of threads ends an epoch early now and then, without a word (25 of
    200 epochs over one row group came back empty), and its order would depend on timing.
    """
    from petastorm import TransformSpec, make_batch_reader

    def pack(rows: pd.DataFrame) -> pd.DataFrame:
        block, new = _windows_of(rows, until, width, pad, seen, times)
        return pd.DataFrame({BLOCK: [block.tobytes()], NEW: [new.tobytes()]})

    packed = [(name, np.bytes_, (), False) for name in (BLOCK, NEW)]
    spec = TransformSpec(pack, edit_fields=packed, selected_fields=[BLOCK, NEW])
    columns = (*COLUMNS, *(() if seen is None else (C.USER,)), *((C.TIMES, C.PAST_TIMES) if times else ()))
    try:
        reader = make_batch_reader(
            [_as_petastorm_reads(uri) for uri in files],
            schema_fields=[f"^{name}$" for name in columns],
            reader_pool_type="dummy",
            shuffle_row_groups=False,
            num_epochs=1,
            transform_spec=spec,
        )
        try:
            for group in reader:
                yield from zip(group.block, group.new, strict=True)
        finally:
            with redirect_stdout(io.StringIO()):  # it announces the clean-up of a cache it does not use
                reader.stop()
                reader.join()
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"a file of the pinned version cannot be read (was it vacuumed?): {error}") from None


def _as_petastorm_reads(uri: str) -> str:
    """Spark writes a blank in a file's URI as %20; petastorm takes the path of a URI as it stands."""
    parts = urlsplit(uri)
    return f"file://{unquote(parts.path)}" if parts.scheme == "file" else uri


def _windows_of(
    rows: pd.DataFrame, until: str, width: int, pad: int, seen: Seen | None, times: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the users whose last row up to `until` is among the rows, and which of them are new."""
    last = rows[_is_last(rows, until)]
    if last.empty:
        return np.zeros((0, 2 * width if times else width), dtype=np.int32), np.zeros(0, dtype=bool)
    lengths = _lengths(last[C.PAST].to_numpy()) + _lengths(last[C.ITEMS].to_numpy())
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = _joined(last, C.PAST, C.ITEMS).astype(np.int32, copy=False)
    found = windows(offsets, items, width, pad, _joined(last, C.PAST_TIMES, C.TIMES) if times else None)
    known = np.zeros(len(last), dtype=np.int64) if seen is None else seen.of(last[C.USER].to_numpy())
    return found, hold_new(offsets, width, known)


def _joined(rows: pd.DataFrame, before: str, after: str) -> np.ndarray:
    """Two columns of lists end to end, row after row."""
    past, own = rows[before].to_numpy(), rows[after].to_numpy()
    joined: np.ndarray = np.concatenate(np.stack([past, own], axis=1).ravel() if any(map(len, past)) else own)
    return joined


def _lengths(lists: np.ndarray) -> np.ndarray:
    return np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))


def _is_last(rows: pd.DataFrame, until: str) -> np.ndarray:
    """Whether a row is its user's last one not later than `until`."""
    order = {name: place for place, name in enumerate(Splits.ALL)}
    own = rows[C.SPLIT].map(order).to_numpy()
    following = rows[C.NEXT_SPLIT].map(order).fillna(LATER_THAN_ALL).to_numpy()
    found: np.ndarray = (own <= order[until]) & (following > order[until])
    return found
