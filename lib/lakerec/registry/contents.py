"""What lakerec puts into a package, and reads when it is served: JSON, safetensors and the encoder's own files.

artifacts/model/
  recommender/              model.json, weights.safetensors
  items.json                external ids by dense index
  popularity.safetensors    how many users met each item: what is shown to whom nothing is known of
  text/                     items.safetensors (vectors of the items' texts), encoder.json, model/ (the encoder's files)
  users/                    ids.json, histories.safetensors: where promote.known_users asks for it
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from lakerec.language.files import files_of, resolve_model
from lakerec.language_config import EncoderConfig
from lakerec.models.catalog import load
from lakerec.models.data import Histories
from lakerec.models.protocol import Recommender

if TYPE_CHECKING:
    from lakerec.language.encoder import Encoder

FOLDER = "artifacts/model"
"""Where all of it lies in the package."""
READ_SETTINGS = ("pooling", "prompt", "max_tokens", "long_texts")
"""What of the encoder's settings its vectors depend on, but for the precision: it serves in fp32 everywhere."""


@dataclass(frozen=True)
class TextSide:
    """The encoder and the items' vectors in the space of its texts."""

    config: EncoderConfig
    vectors: np.ndarray
    """float32 [num_items, d], unit length; zero rows where an item has no text."""

    @cached_property
    def encoder(self) -> Encoder:
        """Loaded by the first text that is asked about."""
        from lakerec.language.encoder import Encoder

        return Encoder(self.config)

    def save(self, folder: Path) -> None:
        """Vectors in half precision, which moves a cosine by less than .001; the encoder's files as they are."""
        (folder / "model").mkdir(parents=True)
        save_file({"vectors": self.vectors.astype(np.float16)}, folder / "items.safetensors")
        settings = {name: getattr(self.config, name) for name in READ_SETTINGS}
        (folder / "encoder.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
        for path in files_of(resolve_model(self.config.model)):
            shutil.copyfile(path, folder / "model" / path.name)

    @classmethod
    def load(cls, folder: Path) -> TextSide | None:
        """What `save` left there; None where it left nothing."""
        if not folder.is_dir():
            return None
        settings = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        config = EncoderConfig(**settings, model=str(folder / "model"), precision="fp32")
        return cls(config, load_file(folder / "items.safetensors")["vectors"].astype(np.float32))


@dataclass(frozen=True)
class KnownUsers:
    """Histories that may be asked about by their owner's id: personal data."""

    ids: np.ndarray
    """External user ids, object [n]."""
    histories: Histories

    @cached_property
    def places(self) -> dict[str, int]:
        """Row of each id."""
        return {user: place for place, user in enumerate(self.ids)}

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "ids.json").write_text(json.dumps(self.ids.tolist()), encoding="utf-8")
        own = self.histories
        arrays = {"offsets": own.offsets, "items": own.items, "times": own.times}
        save_file({name: np.ascontiguousarray(part) for name, part in arrays.items()}, folder / "histories.safetensors")

    @classmethod
    def load(cls, folder: Path) -> KnownUsers | None:
        """What `save` left there; None where it left nothing."""
        if not folder.is_dir():
            return None
        ids = np.array(json.loads((folder / "ids.json").read_text(encoding="utf-8")), dtype=object)
        return cls(ids, Histories(**load_file(folder / "histories.safetensors")))


@dataclass(frozen=True)
class Contents:
    """A recommender and what it is asked with."""

    recommender: Recommender
    items: np.ndarray
    """External ids by dense index, object [num_items]."""
    popularity: np.ndarray
    """float32 [num_items], users who met each item."""
    text: TextSide | None = None
    users: KnownUsers | None = None

    def save(self, folder: Path) -> None:
        """Write all of it into a folder that is not there yet."""
        self.recommender.save(folder / "recommender")
        (folder / "items.json").write_text(json.dumps(self.items.tolist()), encoding="utf-8")
        save_file({"popularity": self.popularity.astype(np.float32)}, folder / "popularity.safetensors")
        if self.text is not None:
            self.text.save(folder / "text")
        if self.users is not None:
            self.users.save(folder / "users")

    @classmethod
    def load(cls, folder: Path) -> Contents:
        """What `save` wrote."""
        recommender, items = read_model(folder)
        popularity = load_file(folder / "popularity.safetensors")["popularity"]
        return cls(recommender, items, popularity, TextSide.load(folder / "text"), KnownUsers.load(folder / "users"))


def read_model(folder: Path) -> tuple[Recommender, np.ndarray]:
    """The recommender and the external ids of its items, by dense index."""
    ids = np.array(json.loads((folder / "items.json").read_text(encoding="utf-8")), dtype=object)
    return load(folder / "recommender"), ids
