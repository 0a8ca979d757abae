"""Every column, table and word that more than one file uses, spelled once.

`Tables` are `layer/name`; `Columns` are column names; `Splits`, `Models` and `Metrics` are the values that `gold` and
`eval` tables hold. External ids are strings; `item` and `user` (no `_id`) are dense integers from the index tables.
"""

from typing import Final


class Tables:
    """Names of the Delta tables, as `layer/table`."""

    BRONZE_EVENTS: Final = "bronze/events"
    BRONZE_ITEMS: Final = "bronze/items"
    BRONZE_USERS: Final = "bronze/users"
    QUARANTINE: Final = "bronze/quarantine"
    EVENTS: Final = "silver/events"
    ITEMS: Final = "silver/items"
    ITEM_TITLES: Final = "silver/item_titles"
    USERS: Final = "silver/users"
    INTERACTIONS: Final = "gold/interactions"
    SEQUENCES: Final = "gold/sequences"
    ITEM_TEXT: Final = "gold/item_text"
    ITEM_INDEX: Final = "gold/item_index"
    USER_INDEX: Final = "gold/user_index"
    TEXT_VECTORS: Final = "gold/text_vectors"
    ITEM_VECTORS: Final = "gold/item_vectors"
    REDUCTIONS: Final = "gold/reductions"
    ENTITY_VECTORS: Final = "gold/entity_vectors"
    USER_VECTORS: Final = "gold/user_vectors"
    PORTRAITS: Final = "gold/portraits"
    SEGMENTS: Final = "gold/segments"
    PSEUDO_LABELS: Final = "gold/pseudo_labels"
    ITEM_DESCRIPTIONS: Final = "gold/item_descriptions"
    LABEL_REQUESTS: Final = "gold/label_requests"
    PSEUDO_SPANS: Final = "gold/pseudo_spans"
    PREDICTIONS: Final = "eval/predictions"
    METRICS: Final = "eval/metrics"
    COLD_RETRIEVAL: Final = "eval/cold_retrieval"
    COMPARISON: Final = "eval/comparison"
    LEAKAGE: Final = "eval/leakage"
    BACKTEST: Final = "eval/backtest"
    RECOMMENDATIONS: Final = "serve/recommendations"
    RUNS: Final = "ops/runs"
    FILES: Final = "ops/files"
    PROMOTIONS: Final = "ops/promotions"
    DRIFT: Final = "ops/drift"
    BRONZE_GRAPH: Final = "bronze/graph"
    BRONZE_GRAPH_LINKS: Final = "bronze/graph_links"
    USER_STATS: Final = "gold/user_stats"
    ITEM_STATS: Final = "gold/item_stats"
    SESSION_STATS: Final = "gold/session_stats"
    USER_AFFINITY: Final = "gold/user_affinity"
    ITEM_PAIRS: Final = "gold/item_pairs"
    GRAPH_EDGES: Final = "gold/graph_edges"
    ITEM_ENTITIES: Final = "gold/item_entities"


class Columns:
    """Names of table columns."""

    EVENT_ID: Final = "event_id"
    USER_ID: Final = "user_id"
    ITEM_ID: Final = "item_id"
    EVENT_TYPE: Final = "event_type"
    EVENT_TIME: Final = "event_time"
    VALUE: Final = "value"
    PRICE: Final = "price"
    CONTEXT: Final = "context"
    SOURCE: Final = "source"
    SOURCE_FILE: Final = "source_file"
    SOURCE_ROW: Final = "source_row"
    BATCH_ID: Final = "batch_id"
    INGESTED_AT: Final = "ingested_at"
    DIGEST: Final = "digest"
    RAW: Final = "raw"
    REASONS: Final = "reasons"
    TAGS: Final = "tags"
    SESSION_ID: Final = "session_id"
    IS_BOT: Final = "is_bot"
    BOT_REASONS: Final = "bot_reasons"
    NET_VALUE: Final = "net_value"
    TITLE: Final = "title"
    DESCRIPTION: Final = "description"
    CATEGORIES: Final = "categories"
    ATTRIBUTES: Final = "attributes"
    WEIGHT: Final = "weight"
    POSITION: Final = "position"
    SPLIT: Final = "split"
    ITEM: Final = "item"
    USER: Final = "user"
    ITEMS: Final = "items"
    TIMES: Final = "times"
    PAST: Final = "past"
    PAST_TIMES: Final = "past_times"
    NEXT_SPLIT: Final = "next_split"
    TEXT: Final = "text"
    TEXT_HASH: Final = "text_hash"
    ENCODER: Final = "encoder"
    VECTOR: Final = "vector"
    TOKENS: Final = "tokens"
    PADDED: Final = "padded"
    SECONDS: Final = "seconds"
    INTERESTS: Final = "interests"
    LIKING: Final = "liking"
    HOUR: Final = "hour"
    WEEKEND_SHARE: Final = "weekend_share"
    DAYS_BETWEEN: Final = "days_between"
    TASK: Final = "task"
    CONFIDENCE: Final = "confidence"
    SPAN: Final = "span"
    START: Final = "start"
    END: Final = "end"
    SENTENCE: Final = "sentence"
    SEGMENT: Final = "segment"
    PREVIOUS_SEGMENT: Final = "previous_segment"
    TEXT_VECTOR: Final = "text_vector"
    SEED: Final = "seed"
    CANDIDATES: Final = "candidates"
    COMPONENTS: Final = "components"
    DIMENSIONS: Final = "dimensions"
    LABEL: Final = "label"
    ERROR: Final = "error"
    RUN_ID: Final = "run_id"
    MODEL: Final = "model"
    RANK: Final = "rank"
    SCORE: Final = "score"
    SLICE: Final = "slice"
    METRIC: Final = "metric"
    K: Final = "k"
    CUTOFF: Final = "cutoff"
    CI_LOW: Final = "ci_low"
    CI_HIGH: Final = "ci_high"
    N: Final = "n"
    REASON: Final = "reason"
    CHECK: Final = "check"
    OK: Final = "ok"
    CHECKED: Final = "checked"
    FOUND: Final = "found"
    DETAIL: Final = "detail"
    TRAIN_RUN: Final = "train_run"
    AUDITED_AT: Final = "audited_at"
    EVIDENCE: Final = "evidence"
    MODEL_VERSION: Final = "model_version"
    GENERATED_AT: Final = "generated_at"
    DAY: Final = "day"
    KNOWABLE_AT: Final = "knowable_at"
    FIRST_SEEN: Final = "first_seen"
    LAST_SEEN: Final = "last_seen"
    DAYS_SINCE_PREVIOUS: Final = "days_since_previous"
    EVENTS: Final = "events"
    USERS: Final = "users"
    SESSIONS: Final = "sessions"
    WEIGHT_DECAYED: Final = "weight_decayed"
    VALUE_MEAN: Final = "value_mean"
    VALUE_DEVIATION: Final = "value_deviation"
    PRICE_LAST: Final = "price_last"
    PRICE_BAND: Final = "price_band"
    PRICE_BAND_MEAN: Final = "price_band_mean"
    STARTED_AT: Final = "started_at"
    ENDED_AT: Final = "ended_at"
    SESSION_POSITION: Final = "session_position"
    SESSION_SECONDS: Final = "session_seconds"
    PREVIOUS_ITEM: Final = "previous_item"
    CATEGORY: Final = "category"
    SHARES: Final = "shares"
    OTHER_ITEM_ID: Final = "other_item_id"
    TOGETHER: Final = "together"
    COSINE: Final = "cosine"
    LIFT: Final = "lift"
    HEAD: Final = "head"
    RELATION: Final = "relation"
    TAIL: Final = "tail"
    ENTITY_ID: Final = "entity_id"
    HEAD_ITEM: Final = "head_item"
    TAIL_ITEM: Final = "tail_item"
    ROLE: Final = "role"
    ENTITIES: Final = "entities"
    DEGREE: Final = "degree"
    KIND: Final = "kind"
    NAME: Final = "name"
    CHANCE: Final = "chance"
    LIMIT: Final = "limit"
    DRIFTED: Final = "drifted"
    N_BEFORE: Final = "n_before"
    N_NOW: Final = "n_now"
    DECIDED_AT: Final = "decided_at"


class Windows:
    """Time windows of the statistics that end with a row's day."""

    DAYS: Final[dict[str, int | None]] = {"1d": 1, "7d": 7, "30d": 30, "all": None}
    RECENT: Final[dict[str, int]] = {name: days for name, days in DAYS.items() if days is not None}
    SUMS: Final = (Columns.EVENTS, Columns.WEIGHT, Columns.VALUE)


class Sources:
    """The raw inputs, by our names that the columns of each are mapped to, and those that it cannot do without."""

    EVENTS: Final = "events"
    ITEMS: Final = "items"
    USERS: Final = "users"
    GRAPH: Final = "graph"
    GRAPH_LINKS: Final = "graph_links"
    NAMES: Final = {
        EVENTS: (
            Columns.EVENT_ID, Columns.USER_ID, Columns.ITEM_ID, Columns.EVENT_TYPE, Columns.EVENT_TIME, Columns.VALUE,
            Columns.PRICE, Columns.TITLE,
        ),
        ITEMS: (Columns.ITEM_ID, Columns.TITLE, Columns.DESCRIPTION, Columns.CATEGORIES),
        USERS: (Columns.USER_ID,),
        GRAPH: (Columns.HEAD, Columns.RELATION, Columns.TAIL),
        GRAPH_LINKS: (Columns.ITEM_ID, Columns.ENTITY_ID),
    }  # fmt: skip
    NEEDED: Final = {
        EVENTS: (Columns.ITEM_ID, Columns.EVENT_TIME),
        ITEMS: (Columns.ITEM_ID,),
        USERS: (Columns.USER_ID,),
        GRAPH: (Columns.HEAD, Columns.RELATION, Columns.TAIL),
        GRAPH_LINKS: (Columns.ITEM_ID, Columns.ENTITY_ID),
    }


class Splits:
    """Values of the `split` column."""

    TRAIN: Final = "train"
    VALID: Final = "valid"
    TEST: Final = "test"
    ALL: Final = (TRAIN, VALID, TEST)


class Models:
    """Values of the `model` column."""

    POPULAR: Final = "popular"
    RECENT_POPULAR: Final = "recent_popular"
    USER_CF: Final = "user_cf"
    ITEM_CF: Final = "item_cf"
    ALS: Final = "als"
    EASE: Final = "ease"
    MULT_VAE: Final = "mult_vae"
    CONTENT: Final = "content"
    TWO_TOWER: Final = "two_tower"
    SEQUENCE: Final = "sequence"
    DISTILLED: Final = "distilled"
    ATTENTION: Final = "attention"
    BEHAVIOUR: Final = "behaviour"
    BLEND: Final = "blend"
    ALL: Final = (
        POPULAR, RECENT_POPULAR, USER_CF, ITEM_CF, ALS, EASE, MULT_VAE, CONTENT, TWO_TOWER, SEQUENCE, DISTILLED, ATTENTION,
        BEHAVIOUR, BLEND,
    )  # fmt: skip
    DEFAULT: Final = (
        POPULAR, RECENT_POPULAR, USER_CF, ITEM_CF, ALS, EASE, CONTENT, TWO_TOWER, SEQUENCE, BEHAVIOUR, BLEND,
    )  # fmt: skip


class Metrics:
    """Values of the `metric` column."""

    NDCG: Final = "ndcg"
    HIT_RATE: Final = "hit_rate"
    PRECISION: Final = "precision"
    RECALL: Final = "recall"
    F1: Final = "f1"
    MRR: Final = "mrr"
    MAP: Final = "map"
    COVERAGE: Final = "coverage"
    NOVELTY: Final = "novelty"
    DIVERSITY: Final = "diversity"
    SERENDIPITY: Final = "serendipity"
    POPULARITY: Final = "popularity"
    GINI: Final = "gini"
    POPULARITY_LIFT: Final = "popularity_lift"
    PER_USER: Final = (NDCG, HIT_RATE, RECALL, PRECISION, F1, MRR, MAP)
    BEYOND: Final = (COVERAGE, NOVELTY, DIVERSITY, SERENDIPITY, GINI, POPULARITY_LIFT)
    """What a list is beside right."""
    ALL: Final = (*PER_USER, *BEYOND)
    """Of lists; those below are of single events."""
    AUC: Final = "auc"
    ACCURACY: Final = "accuracy"
    LOG_LOSS: Final = "log_loss"
    CALIBRATION: Final = "calibration"
    MAE: Final = "mae"
    RMSE: Final = "rmse"
    IPS: Final = "ips"
    SNIPS: Final = "snips"
    DR: Final = "dr"
