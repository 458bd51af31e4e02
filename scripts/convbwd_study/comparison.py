# SPDX-License-Identifier: Apache-2.0
"""Several studies side by side: which rows they share, how those differ, and what forbids comparing them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from convbwd_study import answers, facts, headline, words
from convbwd_study.analysis import Analysis, View, timed
from convbwd_study.scene import PASS_TITLES, Scene
from convbwd_study.stats import NAN, Estimate, Ratio, unpaired_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convbwd_study.results import Study

AXES = {
    "threads": "numbers of threads",
    "layout": "layouts",
    "cache": "cache states",
    "batch": "batch sizes",
    "workload": "workloads",
    "isa_cap": "instruction set caps",
}


@dataclass(frozen=True)
class Match:
    """Views of several studies held side by side; `exact` where their conditions are the same."""

    title: str
    slug: str
    scenes: dict[str, Scene]  # by label of the study
    exact: bool


def labels(studies: Sequence[Study]) -> list[str]:
    """A name for each study that no other has: its own, then with the CPU, then numbered."""
    names = [study.name for study in studies]
    if len(set(names)) < len(names):
        names = [f"{name}, {headline.cpu_of(study)}" for name, study in zip(names, studies, strict=True)]
    return [f"{name} ({names[:i].count(name) + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def matches(analyses: dict[str, Analysis]) -> list[Match]:
    """Conditions that at least two studies share; where there are none, the first of each, for what that is worth."""
    found = []
    views: list[View] = list(dict.fromkeys(view for analysis in analyses.values() for view in analysis.views))
    for view in views:
        having = {label: analysis for label, analysis in analyses.items() if view in analysis.views}
        if len(having) > 1:
            scenes = {label: Scene(analysis, view) for label, analysis in having.items()}
            found.append(Match(view.title, view.slug, scenes, exact=True))
    if not found:
        firsts = {label: Scene(analysis, analysis.views[0]) for label, analysis in analyses.items()}
        found.append(Match("Different conditions, not directly comparable", "mixed", firsts, exact=False))
    return found


def warnings(analyses: dict[str, Analysis], found: Sequence[Match]) -> list[str]:
    """Reasons not to trust a ratio between these studies."""
    texts = []
    for column, title in AXES.items():
        sets = {label: frozenset(analysis.study.cells[column]) for label, analysis in analyses.items()}
        if len(set(sets.values())) > 1:
            each = "; ".join(f"{label}: {', '.join(sorted(map(str, values))[:6])}" for label, values in sets.items())
            texts.append(f"Different {title} ({each}). Only what the studies share is compared.")
    if not any(match.exact for match in found):
        texts.append("No conditions are the same in two studies: the ratios below mix their differences.")
    for match in found:
        if odd := _changed_problems(match):
            texts.append(
                f"{match.title}: layers of the same name are different problems and left out: {', '.join(odd)}."
            )
    for label, analysis in analyses.items():
        texts += [f"{label}: {text}" for text in facts.warnings(analysis.study)]
    return texts


def _changed_problems(match: Match) -> list[str]:
    problems: dict[str, set[str]] = {}
    for scene in match.scenes.values():
        for row in scene.rows.drop_duplicates("label_of_layer").itertuples():
            problems.setdefault(row.label_of_layer, set()).add(row.problem)
    return [layer for layer, variants in problems.items() if len(variants) > 1]


def side_by_side(match: Match) -> pd.DataFrame:
    """One row a layer, pass, implementation and study: its time and share of that machine's own peak, and `ratio`: how
    many times faster it is than in the first study that has a time (with interval and verdict). Where the machine
    changed during either cell there is only the ratio: separate races do not share what disturbed them."""
    odd = set(_changed_problems(match))
    parts = [scene.rows.assign(study=label) for label, scene in match.scenes.items()]
    table = pd.concat(parts, ignore_index=True)
    table = table[~table["label_of_layer"].isin(odd)]
    keys = ["label_of_layer", "pass", "impl"]
    present = table.groupby(keys)["study"].transform("nunique") > 1
    table = table[present].reset_index(drop=True)
    found = []
    for _, group in table.groupby(keys, sort=False):
        reference, disturbed = None, False
        for _, row in group.iterrows():
            entry = row.to_dict() | {"ratio": NAN, "ratio_lo": NAN, "ratio_hi": NAN, "verdict": ""}
            if np.isfinite(row["seconds"]):
                times = match.scenes[row["study"]].analysis.samples(row)
                if reference is None:
                    reference, disturbed = times, bool(row["noisy"])
                else:
                    ratio = unpaired_ratio(times, reference)
                    if disturbed or row["noisy"]:
                        ratio = Ratio(Estimate(ratio.estimate.value), "not enough data", ratio.n)
                    faster = ratio.estimate.inverse()
                    entry |= {
                        "ratio": faster.value,
                        "ratio_lo": faster.lo,
                        "ratio_hi": faster.hi,
                        "verdict": ratio.verdict,
                    }
            found.append(entry)
    columns = [*table.columns, "ratio", "ratio_lo", "ratio_hi", "verdict"]
    result = pd.DataFrame(found, columns=columns).rename(columns={"label_of_layer": "layer"}, errors="ignore")
    return result.loc[:, ~result.columns.duplicated(keep="last")].assign(
        gradient=lambda rows: rows["pass"].map(PASS_TITLES)
    )


def winner_changes(match: Match) -> pd.DataFrame:
    """One row a layer and pass: the winner in each study. `change`: `yes` if those that may be the fastest have nothing
    in common, `unsettled` if they overlap but the winners differ, `no` otherwise."""
    odd = set(_changed_problems(match))
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for label, scene in match.scenes.items():
        for row in scene.winners.to_dict("records"):
            if row["result"] != "none" and row["layer"] not in odd:
                found.setdefault((row["layer"], row["pass"]), {})[label] = answers.leaders(row)
    lines = []
    for (layer, pass_), winners in found.items():
        if len(winners) < 2:
            continue
        first = {leaders[0] for leaders in winners.values()}
        common = frozenset.intersection(*map(frozenset, winners.values()))
        change = "no" if len(first) == 1 else "unsettled" if common else "yes"
        shown = {label: words.one_of(winners.get(label, [])) for label in match.scenes}
        lines.append({"layer": layer, "pass": pass_, "change": change, "winners": shown})
    return pd.DataFrame(lines, columns=["layer", "pass", "change", "winners"])


def regret(match: Match) -> pd.DataFrame:
    """What is lost by running, on one machine, the winners chosen on another: time over the time of its own winners."""
    found = []
    for chosen_on, run_on in permutations(match.scenes, 2):
        choice, own_choice = (_choice(match.scenes[label]) for label in (chosen_on, run_on))
        borrowed = own = 0.0
        shared = 0
        for (layer, pass_), group in timed(match.scenes[run_on].rows).groupby(["label_of_layer", "pass"], sort=False):
            seconds = group.set_index("impl")["seconds"]
            if (chosen := choice.get((layer, pass_))) in seconds.index:
                weight = int(group["count"].iloc[0])
                borrowed += weight * float(seconds[chosen])
                own += weight * float(seconds[own_choice[layer, pass_]])
                shared += 1
        if shared:
            found.append({"chosen_on": chosen_on, "run_on": run_on, "loss": borrowed / own - 1, "layer_passes": shared})
    return pd.DataFrame(found, columns=["chosen_on", "run_on", "loss", "layer_passes"])


def _choice(scene: Scene) -> dict[tuple[str, str], str]:
    """The implementation to use for each layer and pass."""
    rows = scene.winners.to_dict("records")
    return {(row["layer"], row["pass"]): row["impl"] for row in rows if row["result"] != "none"}


def differences(studies: dict[str, Study]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Facts that differ between the studies, with each one's value; and the names of those that are the same."""
    differing, same = [], []
    for keys in facts.GROUPS.values():
        for key, title in keys.items():
            values = [facts.fact(study, key) or words.NONE for study in studies.values()]
            if len(set(values)) > 1:
                differing.append((title, values))
            elif values[0] != words.NONE:
                same.append(title)
    caches = [study.caches or words.NONE for study in studies.values()]
    if len(set(caches)) > 1:
        differing.append(("caches", caches))
    measured = [{fact.name: fact.value for fact in facts.conditions(study)} for study in studies.values()]
    for name in dict.fromkeys(name for values in measured for name in values):
        values = [one.get(name, words.NONE) for one in measured]
        if len(set(values)) > 1:
            differing.append((name, values))
    return differing, same


def best_total(scene: Scene) -> answers.Total | None:
    return next((total for total in scene.totals[True] if total.name == answers.BEST), None)
