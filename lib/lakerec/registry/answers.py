"""What a served model answers: lists for histories, for users that it knows, for free text.

    text      cosine of the text's vector with the items' texts (zero-shot: nothing learned from behaviour has part in it)
    items     the recommender's scores for this history; times: epoch seconds of each item
    user_id   the same for the history that the package has of this user
    nothing known (no item of the history, nobody of this id)    by popularity

A row that has several is asked by the first of these; the items of its history are never recommended again. `basis` in the
answer says what its list was made from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lakerec.models.data import Histories
from lakerec.models.ranking import mask_seen
from lakerec.models.topk import CELLS_AT_ONCE, recommend, top_k
from lakerec.registry.contents import Contents

ITEMS, TIMES, TEXT, USER = "items", "times", "text", "user_id"
COLUMNS = (ITEMS, TIMES, TEXT, USER)
POPULAR = "popular"
"""Basis of a list for somebody of whom nothing is known."""


@dataclass(frozen=True)
class Asked:
    """One row of a request."""

    basis: str
    items: list[int]
    """Dense ids of the history, oldest first, those that the model knows."""
    times: list[int]
    text: str = ""


class Answers:
    """Recommendations for rows of `COLUMNS`."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.index = {item: place for place, item in enumerate(contents.items)}

    def of(self, request: pd.DataFrame, k: int) -> pd.DataFrame:
        """The k best items for each row: row, rank (from 1), item_id, score, basis.

        Raises:
            ValueError: a row cannot be answered, and the message names it; or k is no number of items.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, found {k}")
        asked = list(self._asked(request))
        frames = [self._frame(*part, asked) for part in self._ranked(asked, k)]
        columns = {"row": np.int64, "rank": np.int64, "item_id": object, "score": float, "basis": object}
        whole = pd.concat(frames) if frames else pd.DataFrame({name: [] for name in columns})
        return whole.astype(columns).sort_values(["row", "rank"], ignore_index=True)

    def _asked(self, request: pd.DataFrame) -> Iterator[Asked]:
        given = [name for name in COLUMNS if name in request]
        if not set(given) - {TIMES}:
            found = ", ".join(map(str, request)) or "none of these"
            raise ValueError(f"a request has {ITEMS}, {TEXT} or {USER}; found {found}")
        for number, values in enumerate(zip(*(request[name] for name in given), strict=True)):
            row = {name: value for name, value in zip(given, values, strict=True) if not _missing(value)}
            try:
                yield self._row(row)
            except ValueError as error:
                raise ValueError(f"row {number}: {error}") from error

    def _row(self, row: dict[str, Any]) -> Asked:
        text = str(row.pop(TEXT, "")).strip()
        items, times = self._history(row, bool(text))
        if text:
            if self.contents.text is None:
                raise ValueError(f"this version takes no {TEXT}: its model card says why")
            return Asked(TEXT, items, times, text)
        if ITEMS not in row and USER not in row:
            raise ValueError(f"give {ITEMS} (a history of item ids, oldest first), {TEXT} or {USER}")
        return Asked((ITEMS if ITEMS in row else USER) if items else POPULAR, items, times)

    def _history(self, row: dict[str, Any], optional: bool) -> tuple[list[int], list[int]]:
        """Known items and their times; without times, events are taken for a second apart.

        Args:
            optional: whether it is only asked what is not to be recommended again.
        """
        if ITEMS not in row and USER in row and not (optional and self.contents.users is None):
            return self._of_user(str(row[USER]))
        items = list(row.get(ITEMS, ()))
        times = list(row.get(TIMES, range(len(items))))
        if len(times) != len(items) or (np.diff(np.asarray(times)) < 0).any():
            raise ValueError(f"{TIMES} must have one number for each of its {len(items)} items, oldest first")
        known = [place for place, item in enumerate(items) if item in self.index]
        return [self.index[items[place]] for place in known], [int(times[place]) for place in known]

    def _of_user(self, user: str) -> tuple[list[int], list[int]]:
        users = self.contents.users
        if users is None:
            raise ValueError(
                f"this version knows nobody by {USER}: send the user's {ITEMS}, or set promote.known_users and register anew"
            )
        if user not in users.places:
            return [], []
        own = users.histories.take(np.array([users.places[user]]))
        return own.items.tolist(), own.times.tolist()

    def _ranked(self, asked: list[Asked], k: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Numbers of rows, their items and scores [rows, k]."""
        bases = np.array([row.basis for row in asked], dtype=object)
        alike = {TEXT: np.flatnonzero(bases == TEXT), POPULAR: np.flatnonzero(bases == POPULAR)}
        rest = np.setdiff1d(np.arange(len(asked)), np.concatenate(list(alike.values())))
        if len(rest):
            histories = _histories([asked[row] for row in rest])
            for part, items, scores in recommend(self.contents.recommender, histories, k, len(self.index)):
                yield rest[part], items, scores
        if len(alike[POPULAR]):
            items, scores = top_k(self.contents.popularity[None], k)
            count = len(alike[POPULAR])
            yield alike[POPULAR], items.repeat(count, axis=0), scores.repeat(count, axis=0)
        if len(alike[TEXT]):
            yield from self._by_text(asked, alike[TEXT], k)

    def _by_text(self, asked: list[Asked], rows: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Items by the cosine of their text with the row's; those without a text are not among them."""
        side = self.contents.text
        assert side is not None, "rows with a text are refused before"
        encoded = side.encoder.encode([asked[row].text for row in rows])
        for row, error in zip(rows, encoded.errors, strict=True):
            if error is not None:
                raise ValueError(f"row {row}: the text cannot be encoded: {error}")
        wordless, at_once = ~side.vectors.any(axis=1), max(1, CELLS_AT_ONCE // len(self.index))
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            scores = encoded.vectors[start : start + at_once] @ side.vectors.T
            scores[:, wordless] = -np.inf
            yield part, *top_k(mask_seen(scores, _histories([asked[row] for row in part])), k)

    def _frame(self, rows: np.ndarray, items: np.ndarray, scores: np.ndarray, asked: list[Asked]) -> pd.DataFrame:
        places, ranks = np.nonzero(items >= 0)
        return pd.DataFrame(
            {
                "row": rows[places], "rank": ranks + 1, "item_id": self.contents.items[items[places, ranks]].astype(str),
                "score": scores[places, ranks], "basis": [asked[row].basis for row in rows[places]],
            }
        )  # fmt: skip


def _missing(value: Any) -> bool:
    """Whether a cell is empty: null in JSON, NaN where pandas filled it."""
    return value is None or (isinstance(value, float) and np.isnan(value))


def _histories(asked: list[Asked]) -> Histories:
    return Histories.from_lists([row.items for row in asked], [row.times for row in asked])
