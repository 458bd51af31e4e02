# SPDX-License-Identifier: Apache-2.0
"""Statistics of timings: medians with intervals, paired ratios with a verdict, and sums over layers.

A round is the independent unit: in each round every contender of a cell runs once, in shuffled order, so a ratio is
taken within rounds and what disturbs the machine for longer than a round cancels. Medians throughout: timings have long
tails, and one interrupted sample must not decide anything.

Intervals of medians are order statistics (the inversion of the sign test): right for any distribution, but they need
MIN_ROUNDS samples to reach 95 % at all. With fewer there is no interval, and a verdict only where the samples do not
even come near each other. Sums over layers have no such formula; there the rounds of each cell are resampled, and a row
of few rounds is taken to scatter as rows usually do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
MIN_ROUNDS = 6  # 1 - 2 * (1/2)^6 = 96.9 %; of 5 rounds even the whole range covers only 93.8 %
MIN_EFFECT = 1.02  # differences below 2 % are called a tie, however certain they are
APART = 1.5  # of fewer rounds: every sample of one this much beyond every sample of the other; one may be disturbed
RESAMPLES = 2000
SEED = 20240229

Verdict = Literal["faster", "slower", "tie", "not enough data"]
NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; lo and hi are NaN where there is none."""

    value: float
    lo: float = NAN
    hi: float = NAN

    @property
    def has_interval(self) -> bool:
        return bool(np.isfinite(self.lo) and np.isfinite(self.hi))

    def within(self, factor: float) -> bool:
        """Whether all of it lies within that factor of 1."""
        lo, hi = (self.lo, self.hi) if self.has_interval else (self.value, self.value)
        return lo >= 1 / factor and hi <= factor

    def inverse(self) -> Estimate:
        return Estimate(1 / self.value, 1 / self.hi, 1 / self.lo)


@dataclass(frozen=True)
class Ratio:
    """Time of a over time of b: below 1, a is the faster one. `n`: rounds that both ran."""

    estimate: Estimate
    verdict: Verdict
    n: int


def _checked(samples: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError("no samples")
    if not np.all(np.isfinite(values)) or not np.all(values > 0):
        raise ValueError("times must be finite and positive")
    return values


def median(samples: ArrayLike) -> Estimate:
    """Median of positive samples and its interval, if there are MIN_ROUNDS of them."""
    values = _checked(samples)
    return Estimate(float(np.median(values)), *_interval(values))


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    if values.size < MIN_ROUNDS:
        return NAN, NAN
    rank = _rank(values.size)
    ordered = np.sort(values)
    return float(ordered[rank]), float(ordered[-1 - rank])


@cache
def _rank(n: int) -> int:
    """The samples of this rank from below and from above enclose the median with at least 95 % confidence."""
    return int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5)) - 1


def paired_ratio(a: ArrayLike, b: ArrayLike) -> Ratio:
    """a / b where a[i] and b[i] are of the same round: the median of the rounds' log ratios."""
    times_a, times_b = _checked(a), _checked(b)
    if times_a.size != times_b.size:
        raise ValueError("not paired: different numbers of rounds")
    logs = np.log(times_a) - np.log(times_b)
    lo, hi = _interval(logs)
    estimate = Estimate(*(float(np.exp(x)) for x in (np.median(logs), lo, hi)))
    return Ratio(estimate, _verdict(estimate, times_a, times_b), times_a.size)


def unpaired_ratio(a: ArrayLike, b: ArrayLike) -> Ratio:
    """a / b from separate races: the ratio of the medians, the samples of each resampled on their own."""
    times_a, times_b = _checked(a), _checked(b)
    value = float(np.median(times_a) / np.median(times_b))
    n = min(times_a.size, times_b.size)
    estimate = Estimate(value)
    if n >= MIN_ROUNDS:
        draws_a, draws_b = (resampled_medians([times], seed)[0] for seed, times in enumerate((times_a, times_b)))
        estimate = interval_of_draws(value, draws_a / draws_b)
    return Ratio(estimate, _verdict(estimate, times_a, times_b), n)


def _verdict(ratio: Estimate, a: NDArray[np.float64], b: NDArray[np.float64]) -> Verdict:
    if not ratio.has_interval:
        if a.max() * APART < b.min():
            return "faster"
        return "slower" if b.max() * APART < a.min() else "not enough data"
    if ratio.hi < 1 / MIN_EFFECT:
        return "faster"
    if ratio.lo > MIN_EFFECT:
        return "slower"
    return "tie" if ratio.within(MIN_EFFECT) else "not enough data"


def resampled_medians(cell: Sequence[ArrayLike], seed: int) -> NDArray[np.float64]:
    """RESAMPLES bootstrap medians for each contender of one cell: shape (contenders, RESAMPLES).

    All contenders use the same drawn rounds, so that what is computed from several of them stays paired.
    """
    rows = [_checked(samples) for samples in cell]
    most = max((row.size for row in rows), default=1)
    drawn = np.random.default_rng((SEED, seed)).random((RESAMPLES, most))
    medians = np.empty((len(rows), RESAMPLES))
    for row, out in zip(rows, medians, strict=True):
        np.median(row[(drawn[:, : row.size] * row.size).astype(np.intp)], axis=1, out=out)
    return medians


def scatter(samples: ArrayLike) -> float:
    """Of one row's rounds around their median, as the standard deviation of logarithms; interruptions do not count."""
    logs = np.log(_checked(samples))
    return float(stats.median_abs_deviation(logs, scale="normal"))


def drawn_medians(samples: ArrayLike, usual: float, seed: int) -> NDArray[np.float64]:
    """RESAMPLES medians such as 2 to MIN_ROUNDS - 1 samples could have given that scatter as usual, or as they do, if
    that is more. So few samples cannot be resampled: they have hardly seen how far they scatter."""
    values = _checked(samples)
    deviation = max(usual, float(np.log(values).std(ddof=1))) * np.sqrt(np.pi / 2 / values.size)
    drawn = np.random.default_rng((SEED, seed)).standard_normal(RESAMPLES)
    medians: NDArray[np.float64] = np.median(values) * np.exp(deviation * drawn)
    return medians


def interval_of_draws(value: float, draws: NDArray[np.float64]) -> Estimate:
    """`value` with the spread of its bootstrap draws on the log scale. Not their percentiles: bootstrap medians of few
    rounds lean to one side, and in a sum over many layers that lean outgrows the spread."""
    factor = float(np.exp(stats.norm.ppf((1 + CONFIDENCE) / 2) * np.log(draws).std()))
    return Estimate(value, value / factor, value * factor)


def geometric_mean(values: Iterable[float], weights: Iterable[float] | None = None) -> float:
    """Of positive values; `weights` need not sum to one."""
    array = _checked(list(values))
    return float(stats.gmean(array, weights=None if weights is None else list(weights)))
