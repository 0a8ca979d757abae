"""Vectors of a graph's entities: like neighbourhoods are alike, whatever the order of the edges."""

import numpy as np
from lakerec.models.graph import entity_vectors, indexed

FILMS = {
    "alien": ["horror", "scott"],
    "aliens": ["horror", "cameron"],
    "emma": ["romance", "austen"],
    "pride": ["romance", "austen"],
}
EDGES = [(film, other) for film, others in FILMS.items() for other in others]


def vectors(edges, dimensions=64):
    names, (heads, tails) = indexed(list(zip(*edges, strict=True)))
    found = entity_vectors(heads, tails, len(names), dimensions, seed=1)
    return {name: found[place] for place, name in enumerate(names)}


def test_films_of_one_neighbourhood_are_alike():
    found = vectors(EDGES)
    assert found["emma"] @ found["pride"] > 0.9 > found["alien"] @ found["aliens"] > 0.5 > found["alien"] @ found["emma"]
    np.testing.assert_allclose([np.linalg.norm(each) for each in found.values()], 1, atol=1e-5)


def test_neither_the_order_nor_the_direction_of_edges_nor_repeats_count():
    turned = [(tail, head) for head, tail in EDGES[::-1]]
    for other in (EDGES[::-1], turned, EDGES + EDGES[:3]):
        for name, vector in vectors(EDGES).items():
            np.testing.assert_allclose(vectors(other)[name], vector, atol=1e-5)


def test_an_entity_without_edges_is_zero():
    assert not entity_vectors(np.array([0]), np.array([1]), 3, 8, 1)[2].any()
