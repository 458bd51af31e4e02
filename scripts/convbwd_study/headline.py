# SPDX-License-Identifier: Apache-2.0
"""What a study found, in sentences. A rival's win is said as plainly as one's own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from convbwd_study import answers, rivals, words
from convbwd_study.analysis import VENDOR
from convbwd_study.scene import PASS_TITLES
from convbwd_study.stats import APART, MIN_EFFECT, Estimate

if TYPE_CHECKING:
    from convbwd_study.analysis import Row
    from convbwd_study.answers import Total
    from convbwd_study.results import Study
    from convbwd_study.scene import Scene

MOST_NAMES = 5  # of contenders in one part of a sentence
MOST_LIBRARIES = 2  # to be named
NO_INTERVAL = "(no interval: too few rounds)"


def of_view(scene: Scene) -> list[str]:
    """What to use for the network, then who wins how many layers of each pass, then what cannot be relied on."""
    return [*_network(scene), *_winners(scene), *_trouble(scene)]


def of_study(study: Study, scenes: list[Scene]) -> str:
    """One paragraph for the terminal: the first view's findings, and how many more there are."""
    scene = scenes[0]
    parts = [f"{cpu_of(study)}, {scene.view.title}.", *of_view(scene)]
    if len(scenes) > 1:
        parts.append(f"{words.counted(len(scenes) - 1, 'more set', 'more sets')} of conditions in the report.")
    if incomplete := completeness(study):
        parts.append(incomplete)
    return " ".join(parts)


def cpu_of(study: Study) -> str:
    return next((facts["cpu_model"] for facts in study.facts.values() if facts.get("cpu_model")), "unknown CPU")


def completeness(study: Study) -> str:
    if study.missing.empty:
        return ""
    missing = len(study.missing)
    verb = "is" if missing == 1 else "are"
    return (
        f"The study is incomplete: {missing} of {study.planned} cells {verb} missing; `run` on the same folder goes on."
    )


def _winners(scene: Scene) -> list[str]:
    """For each pass who is fastest on how many layers, and who ties with whom on the others."""
    sentences = []
    for pass_, table in scene.winners.groupby("pass", sort=True):
        layers = words.counted(len(table), "layer")
        clear = table.loc[table["result"] == "clear", "impl"].value_counts()
        shares = [
            f"{name} is fastest on {count} of {layers}" if i == 0 else f"{name} on {count}"
            for i, (name, count) in enumerate(clear.head(MOST_NAMES).items())
        ]
        if others := int(clear.iloc[MOST_NAMES:].sum()):
            shares.append(f"others on {others}")
        rest = {
            result: part.to_dict("records")
            for result in ("tie", "open", "alone", "none")
            if len(part := table[table["result"] == result])
        }
        for result, rows in rest.items():
            count = f"{len(rows)}" if shares else f"{len(rows)} of {layers}"
            shares.append(_without_winner(result, count, rows))
        sentences.append(f"{PASS_TITLES[str(pass_)].capitalize()}: {'; '.join(shares)}.")
    return sentences


def _without_winner(result: str, count: str, rows: list[Row]) -> str:
    """`on 3 avx2 and onednn cannot be told apart`, or how often each is among several different groups."""
    if result in ("none", "alone"):
        what = "only one implementation has a time" if result == "alone" else "there is no time at all"
        return f"on {count} {what}"
    verb = "tie within 2 %" if result == "tie" else "cannot be told apart"
    groups = [answers.leaders(row) for row in rows]
    if len({frozenset(group) for group in groups}) == 1 and len(groups[0]) <= MOST_NAMES:
        return f"on {count} {words.enumerated(sorted(groups[0]))} {verb}"
    often = Counter(sorted(name for group in groups for name in group)).most_common()
    named = [f"{name} on {times}" for name, times in often[:MOST_NAMES]]
    return f"on {count} the leaders {verb} (among them {', '.join(named)}{', ...' if len(often) > MOST_NAMES else ''})"


def _named(totals: list[Total], name: str) -> Total | None:
    return next((total for total in totals if total.name == name), None)


def compared(speedup: Estimate) -> str:
    """`1.11 times as fast as onednn (1.10–1.12)`, or that the two are level."""
    if speedup.lo == speedup.hi == 1:
        return f"being {VENDOR} on every layer"
    interval = words.interval(speedup)
    if speedup.within(MIN_EFFECT):
        level = f"level with {VENDOR} (ratio {words.significant(speedup.value)}"
        return level + (f", {interval[1:]}" if interval else ")")
    number, bounds = words.number_with_interval(speedup)
    return f"{number} times as fast as {VENDOR} {bounds or NO_INTERVAL}"


def _network(scene: Scene) -> list[str]:
    """What to use for the network and what it brings: layer by layer, by one implementation, and without libraries."""
    best = _named(scene.totals[True], answers.BEST)
    if best is None or not best.seconds.value > 0:
        return []
    single = [total for total in scene.totals[True] if total.name in scene.names and total.missing == best.missing]
    alone = bool(single) and single[0].over(best).within(MIN_EFFECT)
    chosen = single[0] if alone else best
    part = "the backward pass of these layers of" if scene.analysis.study.some_layers else "the whole backward pass of"
    whole = f"{part} {scene.view.workload}"
    if best.missing:
        whole += f" (but for {words.counted(best.missing, 'layer pass', 'layer passes')} that nobody has a time for)"
    level = _level(single)
    names = [total.name for total in level]
    use = f"{words.one_of(names)} for every layer" if alone else "the best of each layer"
    if alone and len(level) > 1:
        use += f", which {_how_close(level)}"
    sentence = f"Use {use}: {whole} then takes {words.duration(chosen.seconds.value)}"
    if chosen.speedup:
        shared = f" over the {chosen.shared} of {chosen.of} layer passes both have a time for"
        sentence += f", {compared(chosen.speedup)}{shared if chosen.shared != chosen.of else ''}"
        reduced = _named(scene.totals[False], chosen.name)
        if reduced and reduced.speedup:
            sentence += f"; {words.times(reduced.speedup.value)} without the first layer's data gradient"
    if alone and chosen.seconds.value > best.seconds.value:
        sentence += "; choosing for each layer gains less than 2 %"
    return [f"{sentence}.", *_single(single, level, alone), *_without_libraries(scene)]


def _single(single: list[Total], level: list[Total], alone: bool) -> list[str]:
    """Of those that have every layer, which to use and how far behind the next is; several that are level are named."""
    if alone and len(level) > 1:
        return []
    if len(level) > 1:
        names = words.enumerated([total.name for total in level])
        times = words.enumerated([words.duration(total.seconds.value) for total in level])
        return [f"As single implementations {names} {_how_close(level)} ({times})."]
    if len(single) < 2:
        return []
    first, second = single[:2]
    lead, bounds = words.number_with_interval(second.over(first))
    behind = f"{second.name}, takes {lead} times as long {bounds or NO_INTERVAL}"
    if alone:
        return [f"The next, {behind}."]
    return [f"As a single implementation use {first.name}: {words.duration(first.seconds.value)}; the next, {behind}."]


def _level(by_time: list[Total]) -> list[Total]:
    """The first, and all that may be as fast; behind one that certainly is not, only those with an interval."""
    level, others_behind = by_time[:1], False
    for total in by_time[1:]:
        ratio = total.over(by_time[0])
        if _behind(ratio):
            others_behind = True
        elif ratio.has_interval or not others_behind:
            level.append(total)
    return level


def _how_close(totals: list[Total]) -> str:
    close = all(total.over(totals[0]).within(MIN_EFFECT) for total in totals)
    return "are level within 2 %" if close and totals[0].seconds.has_interval else "cannot be told apart"


def _behind(ratio: Estimate) -> bool:
    """For certain, and by enough to matter."""
    return ratio.lo > 1 and ratio.hi > MIN_EFFECT if ratio.has_interval else ratio.value > APART


def _without_libraries(scene: Scene) -> list[str]:
    aside = _named(scene.totals[True], answers.BEST_OWN)
    if aside is None or aside.speedup is None:
        return []
    over = f" over {aside.shared} of {aside.of} layer passes" if aside.shared != aside.of else ""
    names = sorted(scene.analysis.study.libraries & set(scene.here))
    libraries = words.enumerated(names) if len(names) <= MOST_LIBRARIES else f"any of the {len(names)} libraries"
    found = len(rivals.exceptions(scene.duels))
    exceptions = f"{found} of {len(scene.duels)} layer passes" if found else "no layer pass"
    below = f"it falls below {rivals.LEAST} of the best of them on {exceptions}"
    return [f"Without {libraries}, the best of each layer is {compared(aside.speedup)}{over}; {below}."]


def _trouble(scene: Scene) -> list[str]:
    counts = scene.rows["status"].value_counts()
    sentences = []
    for status, text in (("wrong", "computed something wrong and was not timed"), ("failed", "failed")):
        if count := int(counts.get(status, 0)):
            sentences.append(f"{words.counted(count, 'row')} {text.replace('was', 'were') if count > 1 else text}.")
    if noisy := int((scene.rows.drop_duplicates("key")["noisy"] != "").sum()):
        marked = "is" if noisy == 1 else "are"
        sentences.append(f"{words.counted(noisy, 'cell')} ran while the machine changed, and {marked} marked noisy.")
    return sentences
