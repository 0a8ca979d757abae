"""How raw inputs are described: where they lie, what their columns are, and what is asked of their rows."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """Base of every section: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class FieldConfig(Section):
    """What a column of the source must hold; a row that differs is refused."""

    type: Literal["string", "int", "double", "boolean", "date", "timestamp"] = "string"
    required: bool = Field(False, description="a row without it is refused")
    min: int | float | str | None = Field(None, description="lowest value; a number, a date or a time, as the type says")
    max: int | float | str | None = Field(None, description="highest value")
    allowed: list[str | int | float | bool] | None = Field(None, min_length=1, description="the only values")
    pattern: str | None = Field(None, description="regular expression (Java) that is found in the value; ^…$ for all of it")

    @field_validator("min", "max", mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value

    @model_validator(mode="after")
    def _comparable(self) -> FieldConfig:
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is None:
                continue
            if self.type in ("string", "boolean"):
                raise ValueError(f"{name} needs a type of numbers or times, found {self.type}")
            if isinstance(bound, str) == (self.type in ("int", "double")):
                raise ValueError(f"{name} must be of type {self.type}, found {bound!r}")
            if isinstance(bound, str):
                date.fromisoformat(bound[:10])
        return self


class RuleConfig(Section):
    """What happens to rows that meet a condition."""

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="tag, reason or count that the rows appear under")
    when: str = Field(description="SQL condition over their columns (typed by `fields`) and derived ones")
    action: Literal["tag", "quarantine", "drop_with_count"] = "tag"


class LimitsConfig(Section):
    """What text files may hold before a row or a file is refused, so that memory stays bounded."""

    field_bytes: int = Field(1_000_000, gt=0, description="longest value")
    document_bytes: int = Field(64_000_000, gt=0, description="largest JSON document over many lines, which one task holds")
    compression_ratio: int = Field(200, gt=1, description="bytes that a byte of a compressed file may become")


class SourceTable(Section):
    """One raw input: where it lies, what its columns must hold, and how they map to ours."""

    path: str = Field(description="file, folder or glob")
    format: Literal["csv", "json", "parquet", "delta", "avro"] = "csv"
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, description="Spark reader options")
    columns: dict[str, str] = Field(default_factory=dict, description="our name: their name")
    defaults: dict[str, str | int | float | bool] = Field(default_factory=dict, description="our name: value for all rows")
    time_format: str | None = Field(
        None, description="`seconds`, `milliseconds` or a Spark datetime pattern; none: detected per value"
    )
    separator: str = Field("|", description="what separates the parts of a list column such as `categories`")
    time_zone: str | None = Field(None, description="where times without an offset were written; none: UTC")
    fields: dict[str, FieldConfig] = Field(default_factory=dict, description="their name: what the column must hold")
    explode: dict[str, str] = Field(
        default_factory=dict, max_length=1, description="new name: SQL of an array; the row becomes one for each element"
    )
    derive: dict[str, str] = Field(default_factory=dict, description="new name: SQL over their columns")
    rules: list[RuleConfig] = Field(default_factory=list, description="what happens to rows that meet a condition")
    drift: Literal["evolve", "refuse"] = Field("evolve", description="columns that nothing declares: kept, or an error")
    personal: dict[str, Literal["hash", "drop"]] = Field(
        default_factory=dict, description="their name: pseudonym by a keyed hash, or never stored"
    )
    limits: LimitsConfig = LimitsConfig()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        try:
            return zone and ZoneInfo(zone).key
        except (KeyError, ValueError, OSError):
            raise ValueError("no such time zone; give a name such as Europe/Berlin") from None

    @model_validator(mode="after")
    def _dropped_is_not_mapped(self) -> SourceTable:
        for ours, theirs in self.columns.items():
            if self.personal.get(theirs) == "drop":
                raise ValueError(f"columns.{ours} maps `{theirs}`, which personal drops; say hash, or leave it unmapped")
        return self

    @property
    def own_options(self) -> dict[str, str | int | float | bool]:
        """The reader's options by their names in lower case: Spark takes them in any."""
        return {name.lower(): value for name, value in self.options.items()}

    @property
    def computed(self) -> tuple[str, ...]:
        """Columns that SQL adds to those of the files."""
        return (*self.explode, *self.derive)


class SourceConfig(Section):
    """The raw inputs. Only `events` must exist."""

    events: SourceTable
    items: SourceTable | None = None
    users: SourceTable | None = None
    graph: SourceTable | None = None
    graph_links: SourceTable | None = None
