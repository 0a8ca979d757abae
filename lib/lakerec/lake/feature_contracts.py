"""The contracts of the features as of a time, of pairs and of the knowledge graph."""

from __future__ import annotations

from lakerec.columns import Columns as C
from lakerec.columns import Tables as T
from lakerec.columns import Windows
from lakerec.lake.contract import ARRIVAL, DIGEST, ITEM_ID, KNOWN_USER, Column, Contract
from lakerec.lake.contract import key as _key

DAY = _key(C.DAY, "date", "day (UTC) at whose end the row was true")
KNOWABLE_AT = _key(C.KNOWABLE_AT, "timestamp", "moment (UTC) from which the row may be used: it holds only what was before")
SUMMED = {C.EVENTS: ("bigint", "events"), C.WEIGHT: ("double", "weight of the events"), C.VALUE: ("double", "values")}
HEAD = _key(C.HEAD, "string", "entity that an edge starts from")
RELATION = _key(C.RELATION, "string", "kind of an edge")
TAIL = _key(C.TAIL, "string", "entity that an edge leads to")
ENTITY_ID = _key(C.ENTITY_ID, "string", "entity of the graph")


def _counted(name: str, what: str) -> tuple[Column, ...]:
    """A count so far, and the same over recent days: columns that older tables gain."""
    recent = (
        Column(f"{name}_{window}", "bigint", f"{what} of the last {days} days") for window, days in Windows.RECENT.items()
    )
    return (_key(name, "bigint", f"{what} so far"), *recent)


def _statistics(*counted: Column) -> tuple[Column, ...]:
    """The columns that gold/user_stats and gold/item_stats share, after their key."""
    spans = {name: "so far" if days is None else f"of the last {days} days" for name, days in Windows.DAYS.items()}
    sums = [
        _key(f"{name}_{window}", type_, f"{what} {span}")
        for name in Windows.SUMS for window, span in spans.items() for type_, what in (SUMMED[name],)
    ]  # fmt: skip
    return (
        DAY, KNOWABLE_AT, _key(C.FIRST_SEEN, "timestamp", "first event, UTC"),
        _key(C.LAST_SEEN, "timestamp", "last event so far, UTC"),
        Column(C.DAYS_SINCE_PREVIOUS, "double", "from the last event of an earlier day to the day's first"),
        *sums,
        _key(C.WEIGHT_DECAYED, "double", "weight so far, half of it after each features.half_life_days"),
        Column(C.VALUE_MEAN, "double", "mean value so far; null without any"),
        Column(C.VALUE_DEVIATION, "double", "standard deviation of the values so far; null without any"),
        *counted,
    )  # fmt: skip


FEATURES = (
    Contract(
        T.BRONZE_GRAPH, "edges of the knowledge graph as received", (HEAD, RELATION, TAIL, *ARRIVAL, DIGEST),
    ),
    Contract(
        T.BRONZE_GRAPH_LINKS, "which item an entity of the graph is, as received", (ITEM_ID, ENTITY_ID, *ARRIVAL, DIGEST),
    ),
    Contract(
        T.USER_STATS,
        "statistics of a user at the end of each day with an event of theirs",
        (KNOWN_USER, *_statistics(*_counted(C.ITEMS, "distinct items"), *_counted(C.SESSIONS, "sessions begun"),
                                  Column(C.PRICE_BAND_MEAN, "double", "mean price band so far, by weight"))),
        keys=(C.USER_ID, C.DAY),
        deletion_vectors=True,
        cluster_by=(C.USER_ID,),
    ),
    Contract(
        T.ITEM_STATS,
        "statistics of an item at the end of each day with an event of it",
        (ITEM_ID, *_statistics(*_counted(C.USERS, "distinct users, those unknown left out,"),
                               Column(C.PRICE_LAST, "double", "mean price on the last day so far with any"),
                               Column(C.PRICE_BAND, "int", "edges of features.price_bands that the price has reached"))),
        keys=(C.ITEM_ID, C.DAY),
        deletion_vectors=True,
        cluster_by=(C.ITEM_ID,),
    ),
    Contract(
        T.SESSION_STATS,
        "one row a session",
        (KNOWN_USER, _key(C.SESSION_ID, "string", "session of the user"),
         _key(C.STARTED_AT, "timestamp", "first event, UTC"), _key(C.ENDED_AT, "timestamp", "last event, UTC"),
         _key(C.EVENTS, "bigint", "its events"), _key(C.ITEMS, "bigint", "its distinct items"), KNOWABLE_AT),
        keys=(C.SESSION_ID,),
        deletion_vectors=True,
        cluster_by=(C.USER_ID,),
    ),
    Contract(
        T.USER_AFFINITY,
        "the categories that a user's decayed weight went to, at the end of each day with an event of theirs",
        (KNOWN_USER, DAY, KNOWABLE_AT, _key(C.CATEGORIES, "array<string>", "categories, the strongest first"),
         _key(C.SHARES, "array<double>", "share of each in the decayed weight of all categories, dropped ones included")),
        keys=(C.USER_ID, C.DAY),
        deletion_vectors=True,
        constraints={"same_length": f"size({C.CATEGORIES}) = size({C.SHARES})"},
        cluster_by=(C.USER_ID,),
    ),
    Contract(
        T.ITEM_PAIRS,
        "items that occur together in the train split, the nearest of each item",
        (ITEM_ID, _key(C.OTHER_ITEM_ID, "string", "item that occurs with it"),
         _key(C.TOGETHER, "bigint", "users or sessions that have both"),
         _key(C.COSINE, "double", "together / sqrt(those of one × those of the other)"),
         _key(C.LIFT, "double", "together × all / (those of one × those of the other); above 1: more than by chance"),
         KNOWABLE_AT),
        keys=(C.ITEM_ID, C.OTHER_ITEM_ID),
        cluster_by=(C.ITEM_ID,),
    ),
    Contract(
        T.GRAPH_EDGES,
        "edges of the knowledge graph, each once, with the items that their ends are",
        (HEAD, RELATION, TAIL, Column(C.HEAD_ITEM, "string", "item that the head is; the first by id where several are"),
         Column(C.TAIL_ITEM, "string", "item that the tail is; the first by id where several are")),
        keys=(C.HEAD, C.RELATION, C.TAIL),
    ),
    Contract(
        T.ITEM_ENTITIES,
        "the entities that an item is tied to, by relation",
        (ITEM_ID, RELATION, _key(C.ROLE, "string", "end of the edges where the item is: head or tail"),
         _key(C.ENTITIES, "array<string>", "entities at the other end, sorted"),
         _key(C.DEGREE, "int", "how many")),
        keys=(C.ITEM_ID, C.RELATION, C.ROLE),
    ),
)  # fmt: skip
