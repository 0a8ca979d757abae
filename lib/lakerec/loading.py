"""Files and words into a configuration: YAML (`extends:` another) → `--set key.path=value` → environment `LAKEREC__A__B`.

    conf/base.yaml ← conf/demo.yaml ← --set train.epochs=3 ← LAKEREC__TRAIN__EPOCHS=5

A file may hold `set: [train.epochs=3]`: what --set would do to the file that it extends, beneath its own keys.
Later wins. Unknown keys are errors that name the nearest known key, and where the mistake was made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from lakerec.config import Config
from lakerec.errors import ConfigError, nearest

ENVIRONMENT_PREFIX = "LAKEREC__"


def load_config(path: str | Path, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> Config:
    """Read `path` and what it extends, then apply `overrides` (`key.path=value`), then the environment.

    Raises:
        ConfigError: a file is missing or not YAML, a key is unknown, or a value does not fit.
    """
    values = _read(Path(path), seen=())
    origins: dict[tuple[str, ...], str] = {}
    for keys, text, origin in [*map(_override, overrides), *_variables(os.environ if environment is None else environment)]:
        _put(values, keys, _parse(text, origin))
        origins[tuple(keys)] = origin
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{_where(error, path, origins)}: {_explain(error)}") from None


def _override(text: str, said: str = "--set") -> tuple[list[str], str, str]:
    """Keys, value and where it was said, of one --set."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"{said} {text}: expected key.path=value")
    return key.strip().split("."), value, f"{said} {text}"


def _variables(environment: Mapping[str, str]) -> list[tuple[list[str], str, str]]:
    """The same of each variable of ours."""
    ours = {name: text for name, text in sorted(environment.items()) if name.startswith(ENVIRONMENT_PREFIX)}
    return [(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"), text, name) for name, text in ours.items()]


def _where(error: ValidationError, path: str | Path, origins: Mapping[tuple[str, ...], str]) -> str:
    """Where the first fault was made: the file, unless an override said the value or had a part in its section."""
    fault = tuple(str(part) for part in error.errors()[0]["loc"])
    exact = [origin for keys, origin in origins.items() if fault[: len(keys)] == keys]
    if exact:
        return exact[-1]
    return " with ".join([str(path), *(origin for keys, origin in origins.items() if keys[: len(fault)] == fault)])


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The file's values laid over those of the file it extends."""
    if path.resolve() in seen:
        raise ConfigError(f"{path}: `extends` goes in a circle")
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "not found"
        raise ConfigError(f"config file {what}: {path} (working directory: {Path.cwd()})")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, found a {type(values).__name__}")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    below, words = _read(path.parent / str(parent), (*seen, path.resolve())), values.pop("set", [])
    if not isinstance(words, list):
        raise ConfigError(f"{path}: `set` is a list of key.path=value, found {words!r}")
    for keys, text, origin in (_override(str(each), f"{path}: set") for each in words):
        _put(below, keys, _parse(text, origin))
    return _merge(below, values)


REPLACED_WHOLE = ("columns", "defaults", "options", "fields", "explode", "derive", "personal")


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, section by section; a source's mappings replace each other whole."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and key not in REPLACED_WHOLE:
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    """Set a nested key, making the sections on the way; the last key may itself hold dots (Spark settings)."""
    for depth, key in enumerate(keys[:-1]):
        if keys[depth - 1 : depth + 1] == ["spark", "conf"]:
            values.setdefault(key, {})[".".join(keys[depth + 1 :])] = value
            return
        values[key] = {} if values.get(key) is None else values[key]
        if not isinstance(values[key], dict):
            raise ConfigError(f"{'.'.join(keys)}: `{key}` is a value, not a section")
        values = values[key]
    values[keys[-1]] = value


def _parse(text: str, where: str) -> Any:
    """The value; `film: ` is words, since a section is written in braces here."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{where}: `{text}` is not readable as YAML") from None
    return text if isinstance(value, dict) and not text.lstrip().startswith("{") else value


def _explain(error: ValidationError) -> str:
    """The first fault in one line: which key, what was found, what is allowed."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        meant = nearest(str(first["loc"][-1]), known) or f"; allowed: {', '.join(known)}"
        return f"unknown key `{path}`{meant}{more}"
    if first["type"] == "missing":
        return f"`{path}` is missing{more}"
    found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    if not path:
        return f"{message}{more}"
    return f"`{path}`: {message[:1].lower()}{message[1:]}{found}{more}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at `loc`, whose parts are keys of sections, names in a mapping or places in a list."""
    annotation: Any = Config
    for part in loc:
        model = _section(annotation)
        annotation = model.model_fields[str(part)].annotation if model else get_args(annotation)[-1]
    found = _section(annotation) or Config
    return [field.alias or name for name, field in found.model_fields.items()]


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a key's type names, such as `SourceTable | None`; None for a mapping or a list of sections."""
    options = (annotation,) if isinstance(annotation, type) else get_args(annotation)
    direct = isinstance(annotation, type) or get_origin(annotation) in (Union, UnionType)
    sections = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
    return sections[0] if direct and sections else None
