# SPDX-License-Identifier: Apache-2.0
"""What a study found, in sentences. A rival's win is said as plainly as one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbwd_study import answers, words
from convbwd_study.analysis import VENDOR
from convbwd_study.scene import PASS_TITLES
from convbwd_study.stats import MIN_EFFECT, Estimate

if TYPE_CHECKING:
    from convbwd_study.answers import Total
    from convbwd_study.results import Study
    from convbwd_study.scene import Scene


def of_view(scene: Scene) -> list[str]:
    """Winners of each pass, then the network, then what cannot be relied on."""
    return [*_winners(scene), *_network(scene), *_trouble(scene)]


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
    sentences = []
    for pass_, table in scene.winners.groupby("pass", sort=True):
        layers = len(table)
        clear = table.loc[table["result"] == "clear", "impl"].value_counts()
        shares = [
            f"{name} is fastest on {count} of {words.counted(layers, 'layer')}" if i == 0 else f"{name} on {count}"
            for i, (name, count) in enumerate(clear.items())
        ]
        rest = [
            ("on {} the leaders tie within 2 %", (table["result"] == "tie").sum()),
            ("on {} the leaders cannot be told apart", (table["result"] == "open").sum()),
            ("on {} only one implementation has a time", (table["result"] == "alone").sum()),
            ("{} without any time", (table["result"] == "none").sum()),
        ]
        shares += [text.format(f"{count} of {layers}" if not shares else count) for text, count in rest if count]
        sentence = ", ".join(shares)
        sentences.append(f"{PASS_TITLES[str(pass_)].capitalize()}: {sentence}.")
    return sentences


def _named(totals: list[Total], name: str) -> Total | None:
    return next((total for total in totals if total.name == name), None)


def compared(speedup: Estimate) -> str:
    """`1.11 times as fast as onednn (1.10–1.12)`, or that the two are level."""
    if speedup.lo == speedup.hi == 1:
        return f"which is {VENDOR} on every layer"
    interval = words.interval(speedup)
    bounds = (speedup.lo, speedup.hi) if speedup.has_interval else (speedup.value, speedup.value)
    if bounds[0] >= 1 / MIN_EFFECT and bounds[1] <= MIN_EFFECT:
        level = f"level with {VENDOR} (ratio {words.significant(speedup.value)}"
        return level + (f", {interval[1:]}" if interval else ")")
    number, _, bounds_text = words.times_with_interval(speedup).partition("× ")
    return f"{number.rstrip('×')} times as fast as {VENDOR} {bounds_text or '(no interval: too few rounds)'}"


def _network(scene: Scene) -> list[str]:
    best, reduced = (_named(scene.totals[first], answers.BEST) for first in (True, False))
    if best is None or not best.seconds.value > 0:
        return []
    part = "the backward pass of these layers of" if scene.analysis.study.some_layers else "the whole backward pass of"
    whole = f"{part} {scene.view.workload}"
    if best.missing:
        whole += f" (but for {words.counted(best.missing, 'layer pass', 'layer passes')} that nobody has a time for)"
    taking = f"With the best of each layer {whole} takes {words.duration(best.seconds.value)}"
    if best.speedup is None:
        single = next((t for t in scene.totals[True] if t.name in scene.names and not t.missing), None)
        alone = (
            f"; the best single implementation, {single.name}, takes {words.duration(single.seconds.value)}"
            if single
            else ""
        )
        return [f"{taking}{alone}."]
    shared = "" if best.shared == best.of else f" over the {best.shared} of {best.of} layer passes both have a time for"
    sentence = f"{taking}, {compared(best.speedup)}{shared}"
    if reduced and reduced.speedup:
        sentence += f"; {words.times(reduced.speedup.value)} without the first layer's data gradient"
    aside = _named(scene.totals[True], answers.BEST_WITHOUT_VENDOR)
    if aside and aside.speedup:
        sentence += f". Without using {VENDOR} at all, the best of each layer is {compared(aside.speedup)}"
        if aside.shared != aside.of:
            sentence += f" over {aside.shared} of {aside.of} layer passes"
    return [sentence + "."]


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
