"""Checks of the leakage audit on the fitted models: what they counted, what they learned of items, what they told apart.

popularity   counts of events that models keep are those of train + valid. Where they are not, it is said whether those with
             the test's events are nearer.
vocabulary   of an item without an event in train and valid nothing was learned: its rows are as before training.
negatives    what a user is to be found with in the test is drawn as a negative as often as chance says: a sampler that
             spares what its user meets later would tell the model so. The samplers are the models' own, on some users of
             the test. For a softmax over the whole catalogue nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lakerec.columns import Models
from lakerec.evaluation import leakage
from lakerec.evaluation.leakage import Finding
from lakerec.models import storage
from lakerec.models.attention import Attention
from lakerec.models.behaviour import BehaviourRecipe, Examples
from lakerec.models.catalog import build
from lakerec.models.data import Histories, TrainingData, new_targets
from lakerec.models.traces import COUNTED, learned, recounted
from lakerec.models.two_tower import TwoTower
from lakerec.stages.evidence import Evidence, first
from lakerec.training.loop import recipe_of
from lakerec.training.rows import drawn
from lakerec.training_config import TrainConfig

USERS, NEWEST = 200, 20
"""Users whose negatives are drawn, and events of each, at most."""
HITS, ROUNDS = 50.0, 2_000
"""Draws go on until so many targets are to be expected among them, and for so many rounds at most."""
Draw = Callable[[np.random.Generator], np.ndarray]


def popularity(evidence: Evidence) -> Finding:
    """That what models counted are events of train and valid."""
    parts, names, checked = [], [], 0
    for folder in evidence.models():
        settings = storage.settings(folder)
        if settings["model"] not in COUNTED:
            continue
        weights = storage.arrays(folder)
        wrong = leakage.differing(*recounted(settings, weights, evidence.known.histories)).sum()
        names.append(folder.name)
        checked += evidence.num_items
        if wrong:
            nearer = leakage.differing(*recounted(settings, weights, evidence.whole.histories)).sum() < wrong
            how = "are nearer to those with the test's events" if nearer else "are not those of train and valid"
            parts.append((int(wrong), f"items whose counts in {folder.name} {how}"))
    return leakage.gathered(leakage.POPULARITY, checked, parts, _told("counts are those of train and valid in", names))


def vocabulary(evidence: Evidence) -> Finding:
    """That nothing was learned of an item which only the test meets, or nobody."""
    unmet = np.bincount(evidence.known.histories.items, minlength=evidence.num_items) == 0
    parts, names, checked = [], [], 0
    for folder in evidence.models():
        known = learned(storage.settings(folder), storage.arrays(folder))
        if known is not None:
            names.append(folder.name)
            checked += int(unmet.sum())
            moved = int((known & unmet[: len(known)]).sum())
            parts.append((moved, f"items that train and valid never met, of which {folder.name} learned"))
    return leakage.gathered(leakage.VOCABULARY, checked, parts, _told("nothing was learned of unmet items by", names))


def negatives(evidence: Evidence) -> Finding:
    """That no sampler spares what its users are to be found with."""
    config, histories = evidence.context.config.train, evidence.whole.histories
    tested = np.flatnonzero(histories.lengths > evidence.lengths)
    chosen = np.random.default_rng(config.seeds[0]).permutation(tested)[:USERS]
    held = Held.of(histories.take(chosen), evidence.lengths[chosen], evidence.num_items)
    parts, names, checked = [], [], 0
    for name, hits, draws, share in _drawn(config, held, evidence.num_items):
        names.append(name)
        checked += draws
        spared = round(share * draws) - hits if leakage.avoided(hits, draws, share) else 0
        parts.append((spared, f"draws of {name} in which it spares what is to be found in the test"))
    return leakage.gathered(leakage.NEGATIVES, checked, parts, _told("targets of the test are drawn by chance by", names))


@dataclass(frozen=True)
class Held:
    """Histories of test users with their test events, how many events are known, and what is to be found."""

    histories: Histories
    lengths: np.ndarray
    targets: Histories
    """Items of the test that their user had not met, by history."""

    @classmethod
    def of(cls, histories: Histories, lengths: np.ndarray, num_items: int) -> Held:
        """The users who have something to be found; of each the test's events and the newest known ones."""
        known = first(histories, lengths)
        kept, holdout = new_targets(histories.where(known), histories.where(~known), num_items)
        tests = histories.lengths[kept] - lengths[kept]
        own = histories.take(kept)
        newest = own.where(own.ago < np.repeat(tests + NEWEST, own.lengths))
        return cls(newest, newest.lengths - tests, holdout.targets)


def _drawn(config: TrainConfig, held: Held, num_items: int) -> Iterator[tuple[str, int, int, float]]:
    """Of each fitted model that draws negatives: how many are targets, of how many drawn, and their share by chance."""
    if not len(held.histories):
        return
    wanted = np.isin(np.arange(num_items), held.targets.items)
    for name, draw in uniform(config, num_items):
        yield name, *counted(draw, wanted, config.seeds[0])
    if Models.BEHAVIOUR in config.models:
        recipe = BehaviourRecipe(**config.behaviour.model_dump(exclude={"rated"}))
        yield Models.BEHAVIOUR, *of_behaviour(held, recipe, config.seeds[0])


def uniform(config: TrainConfig, num_items: int) -> Iterator[tuple[str, Draw]]:
    """The samplers that draw for all users of a step together."""
    for name in (Models.TWO_TOWER, Models.ATTENTION):
        if name in config.models:
            model = build(name, config)
            assert isinstance(model, TwoTower | Attention)
            yield name, lambda rng, model=model: model.negatives(num_items, rng)  # type: ignore[misc]
    count = recipe_of(config, num_items).negatives
    if Models.SEQUENCE in config.models and count:
        seed = config.seeds[0]
        yield Models.SEQUENCE, lambda rng: drawn(seed, int(rng.integers(2**31)), num_items, count).numpy()


def counted(draw: Draw, wanted: np.ndarray, seed: int) -> tuple[int, int, float]:
    """Hits, draws, and the share of hits by chance.

    Args:
        wanted: bool [num_items], whether an item is somebody's target.
    """
    rng, hits, draws, share = np.random.default_rng((seed, 7)), 0, 0, float(wanted.mean())
    for _ in range(ROUNDS):
        items = draw(rng)
        hits, draws = hits + int(wanted[items].sum()), draws + len(items)
        if draws * share >= HITS:
            break
    return hits, draws, share


def of_behaviour(held: Held, recipe: BehaviourRecipe, seed: int) -> tuple[int, int, float]:
    """The same of the behaviour model, which leaves out what a user has met: it is given what comes later as well.

    The catalogue is cut down to the items of these histories, so that some hundred thousand draws tell.
    """
    items = np.unique(held.histories.items)
    places = np.full(int(items[-1]) + 1, -1)
    places[items] = np.arange(len(items))
    histories, targets = held.histories.renumbered(places), held.targets.renumbered(places)
    examples = Examples(TrainingData(histories, len(items)), recipe)
    asked = examples.firsts[first(histories, held.lengths)[examples.firsts]]
    if not len(asked) or not recipe.negatives:
        return 0, 0, 0.0
    wanted, rows = targets.matrix(len(items)), examples.rows[asked]
    share = float((targets.lengths[rows] / len(items)).mean())
    rng, hits, draws = np.random.default_rng((seed, 7)), 0, 0
    for _ in range(ROUNDS):
        batch = examples.batch(asked, rng)
        drawn_items, kept = batch.asked[:, 1:].numpy(), batch.counts[:, 1:].numpy() > 0
        theirs = np.asarray(wanted[np.repeat(rows, drawn_items.shape[1]), drawn_items.ravel()]).ravel() > 0
        hits, draws = hits + int((theirs & kept.ravel()).sum()), draws + drawn_items.size
        if draws * share >= HITS:
            break
    return hits, draws, share


def _told(what: str, names: list[str]) -> str:
    return f"{what} {', '.join(names)}" if names else "no fitted model keeps or draws any"
