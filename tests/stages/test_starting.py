"""Going on from the last run's models: nothing that is held out was seen, whoever came late, went or changed the cuts."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from lakerec.columns import Splits, Tables
from lakerec.lake.contracts import CONTRACTS
from lakerec.models.catalog import load
from lakerec.models.data import Histories, Holdout
from lakerec.stages import pipeline, planning, starting
from lakerec.stages.base import standing
from lakerec.stages.train import Job

from tests import shop

pytestmark = pytest.mark.spark
NAMES = Splits.ALL


def leave_last_out(log):
    """Split of each event (time, item) of a user, oldest first."""
    return {user: [*["train"] * (len(own) - 2), "valid", "test"] if len(own) > 2 else ["train"] * len(own)
            for user, own in log.items()}  # fmt: skip


def temporal(log, shares=(0.6, 0.8)):
    times = sorted(time for own in log.values() for time, _ in own)
    first, second = (times[int(len(times) * share)] for share in shares)
    return {user: [NAMES[(time >= first) + (time >= second)] for time, _ in own] for user, own in log.items()}


def table(spark, log, divide):
    """Rows of gold/sequences."""
    rows = []
    for user, splits in divide(log).items():
        for name in dict.fromkeys(splits):
            own = [event for event, split in zip(log[user], splits, strict=True) if split == name]
            past = [event for event, split in zip(log[user], splits, strict=True) if NAMES.index(split) < NAMES.index(name)]
            later = [split for split in dict.fromkeys(splits) if NAMES.index(split) > NAMES.index(name)]
            lists = [[event[place] for event in events] for events in (own, past) for place in (1, 0)]
            number = int(user[1:])
            rows.append((user, number, lists[0], lists[1], name, lists[2], lists[3], later[0] if later else None))
    schema = "user_id string, user int, items array<int>, times array<long>, split string, past array<int>, " \
             "past_times array<long>, next_split string"  # fmt: skip
    assert set(CONTRACTS[Tables.SEQUENCES].names) == {part.split()[0] for part in schema.split(", ")}
    return spark.createDataFrame(rows, schema)


def found(spark, before, now, divide=leave_last_out, then=None, split="train"):
    frames = {1: table(spark, before, then or divide), 2: table(spark, now, divide)}
    lake = SimpleNamespace(read=lambda _, version: frames[version])
    both = ({Tables.SEQUENCES: version} for version in (1, 2))
    return starting.compared(SimpleNamespace(lake=lake), *both, split)


def events(*items, start=0):
    return [(start + place, item) for place, item in enumerate(items)]


def test_what_a_history_has_in_common_and_what_is_new(spark):
    before = {"u0": events(1, 2, 3, 4), "u1": events(5, 6, 7), "u2": events(8, 9)}
    now = {**before, "u0": events(1, 2, 3, 4, 5), "u3": events(1, 2, 3)}
    seen = starting.seen_in(found(spark, before, now))
    assert dict(zip(seen.users, seen.events, strict=True)) == {0: 2, 1: 1, 2: 2}
    assert starting.refused(found(spark, before, now)) is None


@pytest.mark.parametrize("divide", [leave_last_out, temporal])
@pytest.mark.parametrize("split", ["train", "valid"])
def test_where_a_log_only_grows_nothing_that_was_seen_is_held_out(spark, divide, split):
    """Random logs, of which a part was there before, events at the same second among them."""
    rng = random.Random(f"{divide.__name__} {split}")
    for _ in range(3):
        log = [(rng.randrange(60), f"u{rng.randrange(12)}", rng.randrange(9)) for _ in range(80)]
        log.sort(key=lambda event: event[0])
        both = []
        for part in (log[: rng.randrange(40, 80)], log):
            own = {}
            for time, user, item in part:
                own.setdefault(user, []).append((time, item))
            both.append(own)
        result = found(spark, *both, divide, split=split)
        assert starting.refused(result) is None
        then, splits = divide(both[0]), divide(both[1])
        upto = NAMES.index(split) + 1
        for user, common, valid in zip(result["user_id"], result["common"], result["valid"], strict=True):
            was, now = (sum(name in NAMES[:upto] for name in each[user]) for each in (then, splits))
            short = divide is leave_last_out and len(both[0][user]) == 2 and len(both[1][user]) == 3
            assert common == min(was, now) and (split == "valid" or valid == short)


def test_an_earlier_cut_is_refused(spark):
    log = {f"u{user}": [(user + 12 * step, step) for step in range(9)] for user in range(8)}
    earlier = lambda log: temporal(log, (0.4, 0.6))  # noqa: E731
    assert found(spark, log, log, earlier, then=temporal)["valid"].all(), "valid was train then"
    assert starting.refused(found(spark, log, log, earlier, then=temporal, split="valid")).endswith(
        "users that are test now"
    )
    for split in ("train", "valid"):
        later = found(spark, log, log, temporal, then=earlier, split=split)
        assert starting.refused(later) is None and not later["valid"].any()
    assert starting.refused(found(spark, log, log, temporal, then=leave_last_out, split="valid")) is not None


def test_events_that_were_taken_back_and_users_who_went_are_noticed(spark):
    """Without its last event, u0 is tested on what was valid; u1 lost one in the middle, which holds nothing out."""
    before = {"u0": events(1, 2, 3, 4, 5), "u1": events(1, 2, 3, 4, 5), "u2": events(1, 2, 3)}
    cut = found(spark, before, {**before, "u0": events(1, 2, 3, 4)}, split="valid")
    assert starting.refused(cut) == "it may have learned from events of 1 users that are test now"
    less = {**before, "u1": [(0, 1), (2, 3), (3, 4), (4, 5), (5, 6)]}
    assert starting.refused(found(spark, before, less)) is None
    seen = starting.seen_in(found(spark, before, less))
    assert dict(zip(seen.users, seen.events, strict=True))[1] == 1, "from the first difference on it is new"
    gone = {user: own for user, own in before.items() if user != "u2"}
    assert starting.refused(found(spark, before, gone)) == "1 of its users are gone"


def test_of_whose_test_events_a_model_learned(spark, monkeypatch):
    """Fitted on all but each one's last event; then the events of `u1` are taken back but for two, and `u0` goes on."""
    before = {"u0": events(1, 2, 3, 4), "u1": events(5, 6, 7, 8, 9)}
    frames = {1: table(spark, before, leave_last_out)}
    frames[2] = table(spark, {"u0": before["u0"] + events(7, start=9), "u1": before["u1"][:3]}, leave_last_out)
    runs = spark.createDataFrame(
        [("train", "train-1", {Tables.SEQUENCES: 1})], "stage string, run_id string, inputs map<string,int>"
    )
    lake = SimpleNamespace(read=lambda name, version=None: runs if name == Tables.RUNS else frames[version])
    context = SimpleNamespace(lake=lake)
    monkeypatch.setattr(starting, "_other_rows", lambda *_: None)
    assert starting.known_test_users(context, {Tables.SEQUENCES: 2}, "train-1") == (frozenset({"u1"}), None)
    assert starting.known_test_users(context, {Tables.SEQUENCES: 1}, "train-1") == (frozenset(), None)
    assert starting.known_test_users(context, {Tables.SEQUENCES: 2}, "gone") == (
        frozenset(),
        "train run gone is not in ops/runs",
    )
    monkeypatch.setattr(starting, "_other_rows", lambda *_: "gold/sequences was made anew")
    assert starting.known_test_users(context, {Tables.SEQUENCES: 2}, "train-1")[1] == "gold/sequences was made anew"


def test_users_who_are_known_do_not_validate_and_where_most_are_all_begins_anew(monkeypatch):
    histories = Histories.from_lists([[0], [1], [2], [3]])
    ids = np.array(["a", "b", "c", "d"], dtype=object)
    monkeypatch.setattr(starting.arrays, "holdout", lambda *_: (ids, Holdout(histories, histories)))
    job = SimpleNamespace(context=None, inputs={}, start=starting.Start("train-1", Path("x"), {}, frozenset("bz")))
    assert Job._holdout(job, 9).histories.items.tolist() == [0, 2, 3] and job.start.folder is not None
    job.start = starting.Start("train-1", Path("x"), {}, frozenset("abc"))
    assert len(Job._holdout(job, 9).histories) == 4 and job.start.folder is None
    assert job.start.told == ("begins from scratch (train-1: it may know what is to be found of 3 of 4 users of valid)")


def fill(context, log, items):
    """What train reads, as featurize and embed would leave it; items have vectors that stay as they are."""
    spark, lake = context.spark, context.lake
    vectors = np.random.default_rng(7).normal(size=(items, 6)).tolist()
    rows = [(f"p{item}", item, vector) for item, vector in enumerate(vectors)]
    lake.overwrite(spark.createDataFrame([row[:2] for row in rows], "item_id string, item int"), Tables.ITEM_INDEX)
    both = [(item, "minilm-1", vector) for item, _, vector in rows]
    lake.overwrite(spark.createDataFrame(both, "item_id string, encoder string, vector array<float>"), Tables.ITEM_VECTORS)
    lake.overwrite(table(spark, log, leave_last_out), Tables.SEQUENCES)


def test_a_run_goes_on_from_the_last_one_with_new_users_and_items(spark, tmp_path):
    """Walks of 40 users; then two of them go on, and a new user meets a new item."""
    config = shop.config(tmp_path, "train.models=[popular, sequence, blend]", "train.start=last", "train.slice_users=20")
    log = {f"u{user}": events(*((user + step) % 12 for step in range(8))) for user in range(40)}
    log["u50"] = events(5, 6)
    with pipeline.opened(config) as context:
        fill(context, log, 12)
        first = pipeline.run(context, ["train"])[0].row["details"]
        assert json.loads(first["start"])["told"] == "begins from scratch (no earlier run)"
        assert [each["name"] for each in json.loads(first["slices"])] == ["5-19"]
        run = Path(first["folder"]).name
        assert starting.told(context) == f"goes on from {run}"
        grown = {user: own + events(3, 4, start=99) if user in ("u0", "u4") else own for user, own in log.items()}
        grown |= {"u50": events(5, 6, 7), "u99": events(12, 1, 2, 3)}
        fill(context, grown, 13)
        second = pipeline.run(context, ["train"])[0].row["details"]
        begun = json.loads(second["start"])
        assert begun["told"] == f"goes on from {run}"
        fits = begun["fits"]
        assert fits["sequence on train"]["windows"] == 41 and fits["sequence on train"]["new"] == 3
        assert fits["sequence"]["new"] == 3 and fits["sequence on train"]["start_value"] > 0
        fill(context, grown | {"u5": grown["u5"] + events(3, start=99)}, 13)
        third = starting.start(context, standing(context, pipeline.stage("train")).inputs)
        assert third.folder == Path(second["folder"]) and third.known == {"u50"}, "the first run learned what is valid since"
    old, new = (load(Path(each["folder"]) / "sequence") for each in (first, second))
    asked = Histories.from_lists([[0, 1]])
    assert old.score(asked).shape == (1, 12) and new.score(asked).shape == (1, 13)
    np.testing.assert_array_equal(new.basis.axes, old.basis.axes)
    assert new.network.met[:, 0].tolist() == [1.0] * 13
    wider = shop.load(tmp_path / "shop.yaml", "train.models=[popular, sequence]", "train.start=last", "train.dims=32")
    with pipeline.opened(wider) as context:
        assert starting.told(context) == "from scratch: its network has dims 16 (now 32)"


@pytest.mark.long
@pytest.mark.slow
def test_a_shop_that_grows_is_planned_and_trained_from_where_it_was(spark, tmp_path):
    stages = ("ingest", "clean", "featurize", "embed", "train")
    config = shop.config(tmp_path, "train.models=[popular, sequence]", "train.start=last", "train.epochs=1")
    with pipeline.opened(config) as context:
        first = pipeline.run(context, stages)[-1].row["details"]
        items = dict(context.lake.read(Tables.ITEM_INDEX).collect())
        lines = [f"c{user},p{user},2024-03-0{day} 10:00:00,1" for user in (0, 4) for day in (1, 2)]
        lines += [f"c99,{item},2024-03-01 11:0{place}:00,1" for place, item in enumerate(("new", "p1", "p2", "p3"))]
        text = "customer,product,at,quantity\n" + "\n".join(lines) + "\n"
        (tmp_path / "raw" / "events" / "day-2.csv").write_text(text)
        pipeline.run(context, stages[:-1])
        plan = {step["stage"]: step["why"] for step in planning.plan(config)["stages"]}
        assert plan["train"].endswith(f"; sequence goes on from {Path(first['folder']).name}")
        second = pipeline.run(context, stages)[-1].row["details"]
        assert json.loads(second["start"])["fits"]["sequence on train"]["new"] == 3
        now = dict(context.lake.read(Tables.ITEM_INDEX).collect())
        assert items.items() <= now.items() and now["new"] == len(items)
