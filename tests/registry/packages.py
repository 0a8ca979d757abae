"""A package small enough to be shown in full: four items, their texts, three people, a content model."""

import numpy as np
from lakerec.config import TrackingConfig
from lakerec.language.encoder import Encoder
from lakerec.language_config import EncoderConfig
from lakerec.models.content import Content
from lakerec.models.data import Histories, TrainingData
from lakerec.registry.contents import Contents, KnownUsers, TextSide
from lakerec.registry.packaging import Card, register
from lakerec.registry.tracking import Tracker

ITEMS = np.array(["cup", "mug", "lamp", "vase"], dtype=object)
TEXTS = ["a red cup", "a large mug of stone", "lamp for the desk", ""]
VECTORS = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], dtype=np.float32)
POPULARITY = np.array([1, 5, 2, 3], dtype=np.float32)
USERS = KnownUsers(np.array(["ann", "bob"], dtype=object), Histories.from_lists([[0], [2, 3]], [[10], [20, 30]]))
CARD = Card("# shop: content\n", "content of train-1")


def content():
    model = Content(half_life=1.0)
    model.fit(TrainingData(Histories.from_lists([]), len(ITEMS), VECTORS))
    return model


def contents(text=None, users=None):
    return Contents(content(), ITEMS, POPULARITY, text, users)


def text_side(folder):
    """Of the encoder in a folder; the last item has no text."""
    config = EncoderConfig(model=folder, precision="fp32", max_tokens=32)
    vectors = Encoder(config, "cpu").encode(TEXTS).vectors
    vectors[-1] = 0
    return TextSide(config, vectors)


def tracker(folder):
    return Tracker(TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db"), "shop")


def registered(store, package, name="shop"):
    """Its version."""
    with store.stage("promote"):
        return register(store, name, package, {"train_run": "train-1"}, CARD)
