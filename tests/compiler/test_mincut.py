"""Cheapest labels against a search of all of them."""

from __future__ import annotations

import math
import random
import time
from itertools import product

import pytest

from netwright.compiler.mincut import Shared, cheapest_labels, total_cost

Costs = list[tuple[float, float]]


def problem(seed: int, things: int = 9) -> tuple[Costs, list[Shared]]:
    """Few kinds of costs, so that ties are common; some labels are forbidden, some things cost nothing."""
    draw = random.Random(seed)
    numbers = [0, 0, 0, 1, 2, 3.5, 7]
    costs: Costs = []
    for _ in range(things):
        pair = (draw.choice(numbers), draw.choice(numbers))
        if draw.random() < 0.2:
            pair = (math.inf, pair[1]) if draw.random() < 0.5 else (pair[0], math.inf)
        costs.append(pair)
    shared = []
    for _ in range(draw.randrange(2 * things)):
        source, *readers = draw.sample(range(things), draw.choice([2, 2, 2, 3, 4]))
        shared.append(Shared(source, tuple(readers), draw.choice(numbers)))
    return costs, shared


@pytest.mark.parametrize("seed", range(300))
def test_no_labels_are_cheaper(seed: int) -> None:
    costs, shared = problem(seed)
    best = min(total_cost(costs, shared, labels) for labels in product((False, True), repeat=len(costs)))
    found = cheapest_labels(costs, shared)
    assert total_cost(costs, shared, found) == pytest.approx(best)
    assert found == cheapest_labels(costs, shared)


def test_readers_share_what_they_need() -> None:
    """Two readers gain 3 each: together they pay for one conversion at 5, alone neither does."""
    costs: Costs = [(0, math.inf), (3, 0), (3, 0)]
    assert cheapest_labels(costs, [Shared(0, (1, 2), 5)]) == [False, True, True]
    assert cheapest_labels(costs, [Shared(0, (1,), 5), Shared(0, (2,), 5)]) == [False, False, False]


def test_a_thing_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="no label left"):
        cheapest_labels([(math.inf, math.inf)], [])


def test_nothing() -> None:
    assert cheapest_labels([], []) == []


def test_thousands_of_things_take_no_time() -> None:
    """A long chain in which each thing is read by the next two, against the best way along it."""
    draw, count = random.Random(1), 3000
    costs: Costs = [(0, math.inf), *((draw.uniform(0, 2), draw.uniform(0, 2)) for _ in range(count))]
    shared = [Shared(k, (k + 1, k + 2), 1.0) for k in range(count - 1)]
    start = time.perf_counter()
    found = cheapest_labels(costs, shared)
    assert time.perf_counter() - start < 8
    best = {(False, label): costs[1][label] for label in (False, True)}
    for pair in costs[2:]:
        further: dict[tuple[bool, bool], float] = {}
        for (a, b), known in best.items():
            for c in (False, True):
                cost = known + pair[c] + (1.0 if b != a or c != a else 0.0)
                further[b, c] = min(cost, further.get((b, c), math.inf))
        best = further
    assert total_cost(costs, shared, found) == pytest.approx(min(best.values()))
