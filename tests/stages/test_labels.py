"""Labels as a stage: from a few rows of a table to all items, or to texts of events; and what a person should be asked."""

import json

import pytest
from lakerec.columns import Tables
from lakerec.errors import ConfigError, EmptyDataError, InputError
from lakerec.stages import pipeline
from lakerec.stages.base import last_run
from lakerec.stages.sentiment import felt

from tests import shop

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(embedded_shop):
    """A shop, embedded, whose customers say what they think; half of its items are labelled, a third of what was said."""
    folder = embedded_shop.parent
    kinds = [f"p{number},{shop.KINDS[number // 8]}" for number in range(0, 32, 2)]
    (folder / "kinds.csv").write_text(
        "item_id,label\n" + "\n".join([*kinds, "p0,lamp", "nowhere,tea", ",tea", "p2,"]) + "\n"
    )
    moods = [f'"{shop.REVIEWS[number % 2].format(number)}",{("bad", "good")[number % 2]}' for number in range(0, 60, 3)]
    (folder / "moods.csv").write_text("text,mood\n" + "\n".join(moods) + "\n")
    return embedded_shop


def profiled(conf, tasks):
    with pipeline.opened(shop.load(conf, f"profile.labels={tasks}")) as context:
        pipeline.run(context, ["profile"])
        run = last_run(context.lake, "profile")
        return run, *(context.lake.read(table).collect() for table in (Tables.PSEUDO_LABELS, Tables.LABEL_REQUESTS))


def test_items_and_texts_get_the_labels_that_the_model_is_sure_of(place):
    folder = place.parent
    mood = f"mood: {{of: texts, field: review, path: {folder}/moods.csv, label: mood}}"
    tasks = f"{{kind: {{path: {folder}/kinds.csv, requests: 3}}, {mood}}}"
    run, labels, asked = profiled(place, tasks)
    figures = {name: json.loads(run.details[f"labels.{name}"]) for name in ("kind", "mood")}
    assert figures["kind"]["labelled"] == 15, "p0 was labelled two ways, p2 once without a label, others are no items"
    kinds = {row.id: row for row in labels if row.task == "kind"}
    assert kinds and all(row.label == shop.KINDS[int(name[1:]) // 8] for name, row in kinds.items())
    assert all(int(name[1:]) % 2 or name == "p0" for name in kinds), "what a person labelled is not labelled again"
    assert all(row.confidence >= figures["kind"]["threshold"] for row in kinds.values())
    moods = [row for row in labels if row.task == "mood"]
    assert len(moods) == figures["mood"]["kept"] > 20 and {row.label for row in moods} == {"good", "bad"}
    assert figures["mood"]["precision"] >= 0.9
    assert sorted(row.rank for row in asked if row.task == "kind") == [1, 2, 3]
    assert all(row.text and len(row.guesses) == 2 and 0 <= row.margin <= 1 for row in asked)
    with pipeline.opened(shop.load(place, f"profile.labels={tasks}")) as context:
        assert all(outcome.skipped for outcome in pipeline.run(context, ["embed", "profile"])), (
            "its vectors make nothing due"
        )
        with (folder / "kinds.csv").open("a") as table:
            table.write("p31,plant\n")
        due = {stage.name: now for stage, now in pipeline.plan(context)}["profile"]
        assert due.due and due.why == "embed ran again or its files changed", "a person labelled one more"
    _, labels, asked = profiled(place, f"{{{mood}}}")
    assert {row.task for row in labels} == {row.task for row in asked} == {"mood"}, (
        "a task that is gone takes its labels along"
    )


def test_what_customers_write_tells_what_they_value(place):
    task = f"{{mood: {{of: texts, field: review, path: {place.parent}/moods.csv, label: mood}}}}"
    profiled(place, task)
    scores = "profile.sentiment={task: mood, scores: {good: 1, bad: -1}}"
    with pipeline.opened(shop.load(place, f"profile.labels={task}", scores)) as context:
        events = context.lake.read(Tables.EVENTS)
        found = felt(context, events, context.config.profile.sentiment)
        said = context.lake.read(Tables.BRONZE_EVENTS).selectExpr("event_id", "trim(context['review']) AS review")
        rows = found.join(said, on="event_id").collect()
        assert len(rows) == events.count(), "no event is lost or doubled"
    told = [row for row in rows if row.value is not None]
    assert len(told) > 30 and all(row.value == (1 if "love" in row.review else -1) for row in told)
    assert all(row.value is None for row in rows if not row.review)
    with pytest.raises(ConfigError, match=r"sentiment.task must be one of labels that is of texts \(mood\), found `kind`"):
        shop.load(place, f"profile.labels={task}", scores.replace("mood", "kind"))


def test_a_table_that_is_not_there_or_too_small_is_told(place):
    folder = place.parent
    (folder / "few.csv").write_text("item_id,label\np1,tea\np9,lamp\n")
    for table, kind, said in (
        ("nowhere.csv", InputError, r"profile.labels.kind.path: .*nowhere.csv cannot be read"),
        ("moods.csv", InputError, r"has no column `item_id`; found: text, mood"),
        ("few.csv", EmptyDataError, r"of the rows labelled in .*few.csv that have a vector, 0 classes have 3 labelled rows"),
    ):
        with pytest.raises(kind, match=said):
            profiled(place, f"{{kind: {{path: {folder}/{table}}}}}")
