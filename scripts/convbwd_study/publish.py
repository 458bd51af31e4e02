# SPDX-License-Identifier: Apache-2.0
"""Studies for everybody: a copy without what tells of a host, a user or a place, and the README's table from it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from convbwd_study import documents, facts, headline, page, results, summary, tables
from convbwd_study.analysis import Analysis
from convbwd_study.errors import BadDocument, UsageError, from_os_error
from convbwd_study.machine import cpu_slug, slug
from convbwd_study.report import write_report
from convbwd_study.scene import Scene
from convbwd_study.words import markdown

if TYPE_CHECKING:
    from convbwd_study.results import Study

PUBLISHED = Path(__file__).resolve().parents[2] / "reports" / "published"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
# Facts that say where a study was run rather than on what.
PRIVATE = {
    "host_name",
    "hostname",
    "user",
    "user_name",
    "username",
    "home",
    "cwd",
    "directory",
    "out",
    "path",
    "command",
}
_PATH = re.compile(r"(?:(?<![\w./-])|(?<=-[IL]))(?:~|/)(?:[\w.+@-]+/)+([\w.+@-]*)")


def publish(study_dir: Path, name: str, published: Path = PUBLISHED) -> Path:
    """Copies a study to `<published>/<machine>-<what>/`: raw cells, manifest, figures, summary and results.

    `name` is `<what>`; the machine is put before it unless it begins with it. An earlier copy of that name is replaced.
    """
    study = results.load(study_dir)
    if not study.missing.empty:
        raise UsageError(f"{study_dir}: {headline.completeness(study)} Only whole studies are published.")
    machine = cpu_slug({"model name": headline.cpu_of(study)})
    what = slug(name)
    target = published / (what if what.startswith(machine) else f"{machine}-{what}")
    if study_dir.resolve() == target.resolve():
        raise UsageError(f"{study_dir} is the published copy itself")
    try:
        published.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=published, prefix=".publishing-") as scratch:
            copy = Path(scratch) / target.name
            _copy(study, copy, target.name)
            write_report(copy)
            (copy / "report.html").unlink()  # 1 MB that `report` makes again from the cells
            if target.exists():
                shutil.rmtree(target)
            copy.rename(target)
    except OSError as error:
        raise from_os_error(error) from error
    return target


def _copy(study: Study, copy: Path, name: str) -> None:
    manifest = documents.read(study.folder / "manifest.json").values
    page.write_text(copy / "manifest.json", _json(scrubbed(manifest) | {"name": name}))
    for key in study.facts:
        document = documents.read(study.folder / "cells" / f"{key}.json").values
        page.write_text(copy / "cells" / f"{key}.json", _json(scrubbed(document)))


def _json(document: dict[str, Any]) -> str:
    """A measurement a line: studies have tens of thousands, and git keeps them."""
    dumps = partial(json.dumps, ensure_ascii=False, allow_nan=False)
    entries = document.pop("benchmarks", None)
    text = dumps(document, indent=1)
    if entries:
        lines = ",\n".join(dumps(entry, separators=(",", ":")) for entry in entries)
        text = text.removesuffix("\n}") + f',\n "benchmarks": [\n{lines}\n ]\n}}'
    return text + "\n"


def scrubbed(value: Any) -> Any:
    """The same document with private facts emptied and every absolute path cut down to its last part."""
    if isinstance(value, dict):
        return {key: "" if key.lower() in PRIVATE else scrubbed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [scrubbed(item) for item in value]
    return _PATH.sub(lambda path: path[1] or PurePosixPath(path[0]).name, value) if isinstance(value, str) else value


def update_readme(readme: Path, study_dir: Path) -> None:
    """Writes the results of a published study between the markers of a README."""
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise from_os_error(error) from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise BadDocument(f"{readme}: expected the markers {BEGIN} and {END}, once each and in this order")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(readme, f"{before}{BEGIN}\n{_readme_block(readme, study_dir)}\n{END}{after}")


def _readme_block(readme: Path, study_dir: Path) -> str:
    study = results.load(study_dir)
    analysis = Analysis(study)
    scene = Scene(analysis, analysis.views[0])
    try:
        link = study_dir.resolve().relative_to(readme.resolve().parent).as_posix()
    except ValueError:
        raise UsageError(f"{study_dir} does not lie beside {readme}; publish the study first") from None
    named = {"compiler": "", "onednn_version": "oneDNN ", "commit": "commit "}
    known = [prefix + facts.fact(study, key)[:40] for key, prefix in named.items() if facts.values(study, key)]
    lines = [
        f"**{markdown(headline.cpu_of(study))}**; {markdown('; '.join([scene.view.title, *known]))}.",
        "",
    ]
    lines += [markdown(" ".join(headline.of_view(scene))), ""]
    lines += [*summary.table(_readme_table(scene)), ""]
    figure = f"figures/{scene.view.slug}-winners.svg"
    if (study_dir / figure).is_file():
        lines += [f"![Fastest implementation of each layer]({link}/{figure})", ""]
    lines += [f"All layers, pictures and the machine: [{link}]({link}/summary.md)."]
    return "\n".join(lines)


def _readme_table(scene: Scene) -> tables.Table:
    """Network time, ratio to the vendor library and layers won, one line an implementation."""
    totals = tables.totals(scene)
    won = scene.winners[scene.winners["result"] == "clear"].groupby(["impl", "pass"]).size()
    rows = []
    for name, time, against, *_ in totals.rows:
        wins = [int(won.get((name.text, pass_), 0)) for pass_ in tables.SHORT]
        single = name.text in scene.names
        rows.append([name, time, against, *(tables.Cell(str(count) if single else "", float(count)) for count in wins)])
    columns = [*totals.columns[:3], "layers it wins, dx", "layers it wins, dw"]
    return tables.Table(totals.title, columns, rows)
