"""The order of models, compared."""

import doctest

import lakerec.evaluation.agreement as agreement
import numpy as np
from lakerec.evaluation.agreement import kendall


def test_the_same_order_is_one_the_other_way_round_minus_one():
    figures = np.array([0.1, 0.4, 0.2])
    assert kendall(figures, figures * 2) == 1 and kendall(figures, -figures) == -1


def test_models_that_are_in_no_order_do_not_agree():
    assert kendall(np.array([0.1]), np.array([0.2])) is None
    assert kendall(np.array([0.1, 0.1]), np.array([0.1, 0.2])) is None


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(agreement, extraglobs={"np": np})
    assert tried and not failed
