# SPDX-License-Identifier: Apache-2.0
"""Known medians, intervals that cover what they should, verdicts on equal and unequal contenders, damage."""

import math

import numpy as np
import pytest
from convbwd_study import stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import quantile_test

RNG_SEED = 11


def noisy(rng, rounds, median=1.0, spread=0.01):
    """Timings as they are: a tail to the right, and now and then an interruption."""
    times = median * np.exp(rng.normal(0, spread, rounds))
    return times + (rng.random(rounds) < 0.05) * rng.exponential(0.5, rounds)


def test_known_medians():
    assert stats.median([3.0, 1.0, 2.0]).value == 2
    assert stats.median([4.0, 1.0, 2.0, 3.0]).value == 2.5
    assert stats.paired_ratio([2.0, 6.0, 12.0], [1.0, 2.0, 3.0]).estimate.value == pytest.approx(3)
    assert stats.geometric_mean([1.0, 4.0]) == pytest.approx(2)
    assert stats.geometric_mean([1.0, 8.0], [2.0, 1.0]) == pytest.approx(2)


@pytest.mark.parametrize("rounds", range(1, stats.MIN_ROUNDS))
def test_no_interval_from_few_rounds(rounds):
    assert not stats.median(np.arange(1.0, rounds + 1)).has_interval
    assert not stats.paired_ratio(np.ones(rounds), np.ones(rounds)).estimate.has_interval


@given(st.lists(st.floats(1e-6, 1e3), min_size=stats.MIN_ROUNDS, max_size=60))
def test_interval_is_that_of_the_sign_test(samples):
    expected = quantile_test(samples, p=0.5).confidence_interval(0.95)
    estimate = stats.median(samples)
    assert (estimate.lo, estimate.hi) == (expected.low, expected.high)
    assert estimate.lo <= estimate.value <= estimate.hi


@pytest.mark.parametrize("rounds", [6, 7, 10, 25])
def test_interval_of_a_median_covers_it(rounds):
    rng = np.random.default_rng(RNG_SEED)
    covered = 0
    for _ in range(2000):
        estimate = stats.median(np.exp(rng.normal(0, 0.3, rounds)))
        covered += estimate.lo <= 1 <= estimate.hi
    assert covered / 2000 >= 0.94


@pytest.mark.parametrize(("layers", "rounds"), [(1, 8), (5, 6), (40, 6), (40, 15)])
def test_interval_of_a_sum_covers_it(layers, rounds):
    rng = np.random.default_rng(RNG_SEED)
    weights = rng.integers(1, 6, layers)
    covered, repeats = 0, 120
    for _ in range(repeats):
        cells = [np.exp(rng.normal(0, 0.05, rounds)) for _ in range(layers)]
        draws = sum(
            w * stats.resampled_medians([cell], i)[0] for i, (w, cell) in enumerate(zip(weights, cells, strict=True))
        )
        value = float(sum(w * np.median(cell) for w, cell in zip(weights, cells, strict=True)))
        estimate = stats.interval_of_draws(value, draws)
        assert estimate.lo <= estimate.value <= estimate.hi
        covered += estimate.lo <= weights.sum() <= estimate.hi
    assert covered / repeats >= 0.9


def test_identical_contenders_tie():
    rng = np.random.default_rng(RNG_SEED)
    verdicts = [stats.paired_ratio(noisy(rng, 30), noisy(rng, 30)).verdict for _ in range(200)]
    assert verdicts.count("tie") >= 190
    assert "faster" not in verdicts
    assert "slower" not in verdicts


def test_identical_contenders_are_never_told_apart_however_noisy():
    rng = np.random.default_rng(RNG_SEED)
    for rounds in (1, 3, 6, 12):
        verdicts = [
            stats.paired_ratio(noisy(rng, rounds, spread=0.08), noisy(rng, rounds, spread=0.08)).verdict
            for _ in range(400)
        ]
        assert sum(verdict in ("faster", "slower") for verdict in verdicts) <= 400 * 0.06


def test_three_percent_slower_is_noticed_with_enough_rounds():
    rng = np.random.default_rng(RNG_SEED)
    slow, usual = noisy(rng, 200, 1.03, 0.005), noisy(rng, 200, 1.0, 0.005)
    ratio = stats.paired_ratio(slow, usual)
    assert ratio.verdict == "slower"
    assert ratio.estimate.lo <= 1.03 <= ratio.estimate.hi
    assert stats.paired_ratio(usual, slow).verdict == "faster"
    assert stats.paired_ratio(slow[:5], usual[:5]).verdict == "not enough data"


def test_pairing_removes_drift():
    rng = np.random.default_rng(RNG_SEED)
    drift = np.linspace(1, 2, 20)
    a, b = drift * noisy(rng, 20, 1.1, 0.003), drift * noisy(rng, 20, 1.0, 0.003)
    paired, unpaired = stats.paired_ratio(a, b), stats.unpaired_ratio(a, b)
    assert paired.verdict == "slower"
    assert paired.estimate.hi - paired.estimate.lo < 0.2 * (unpaired.estimate.hi - unpaired.estimate.lo)


def test_certain_but_small_differences_are_ties():
    assert stats.paired_ratio(np.full(50, 1.01), np.ones(50)).verdict == "tie"
    assert stats.paired_ratio(np.full(50, 1.021), np.ones(50)).verdict == "slower"


def test_few_rounds_decide_only_what_is_far_apart():
    assert stats.paired_ratio([3.0], [1.0]).verdict == "slower"
    assert stats.paired_ratio([1.0, 1.1], [2.0, 2.1]).verdict == "faster"
    assert stats.paired_ratio([1.2], [1.0]).verdict == "not enough data"
    assert stats.unpaired_ratio([3.0], [1.0] * 10).verdict == "slower"


def test_inverse_turns_the_interval_around():
    ratio = stats.Estimate(0.5, 0.4, 0.8).inverse()
    assert (ratio.value, ratio.lo, ratio.hi) == (2, 1.25, 2.5)


def test_resampling_is_the_same_every_time_and_paired():
    samples = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    draws = stats.resampled_medians([samples, 2 * samples], seed=3)
    assert np.array_equal(draws, stats.resampled_medians([samples, 2 * samples], seed=3))
    assert np.allclose(draws[1] / draws[0], 2)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [1.0, math.inf], [1.0, -2.0], [0.0], [[1.0]]])
def test_damaged_samples_are_refused(bad):
    for measure in (stats.median, stats.geometric_mean):
        with pytest.raises(ValueError, match=r"samples|times"):
            measure(bad)
    with pytest.raises(ValueError, match=r"samples|times"):
        stats.paired_ratio(bad, [1.0] * len(bad))


def test_unpaired_rounds_are_refused():
    with pytest.raises(ValueError, match="not paired"):
        stats.paired_ratio([1.0, 2.0], [1.0])
