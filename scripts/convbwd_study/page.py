# SPDX-License-Identifier: Apache-2.0
"""HTML pages of one file: templates, the chart library inlined, and a policy that lets nothing else in or out."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from convbwd_study import charts, theme
from convbwd_study.errors import from_os_error
from convbwd_study.study import write_whole
from convbwd_study.words import spreadsheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from convbwd_study.scene import Figure

MOST_ROWS = 8000  # of long tables, in a page that browsers open quickly
TEMPLATES = Path(__file__).with_name("templates")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    return re.sub(r"</(script)", r"<\\/\1", bundle, flags=re.IGNORECASE)


def render(template: str, implementations: list[str], **values: Any) -> str:
    """A whole page. Its policy names the two scripts by their hashes, so no other could run, and allows no address, so
    nothing is fetched."""
    scripts = [_library(), (TEMPLATES / "page.js").read_text(encoding="utf-8")]
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    return (
        _environment()
        .get_template(template)
        .render(
            policy=policy,
            scripts=[Markup(text) for text in scripts],  # ours: no text of a study is in them
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
            configs=theme.CONFIGS,
            colours=theme.colours(implementations),
            most_rows=MOST_ROWS,
            **values,
        )
    )


def write_text(file: Path, text: str) -> None:
    """Whole or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.encode())
    except OSError as error:
        raise from_os_error(error) from error


def write_table(file: Path, table: pd.DataFrame) -> None:
    write_text(file, spreadsheet(table).to_csv(index=False, lineterminator="\n"))


def write_figures(folder: Path, figures: Mapping[str, Figure] | Iterable[tuple[str, Figure]]) -> None:
    """Each as SVG, with its data beside it; figures of an earlier report are removed."""
    if folder.is_dir():
        for old in [*folder.glob("*.svg"), *folder.glob("*.csv")]:
            old.unlink()
    for name, figure in dict(figures).items():
        write_text(folder / f"{name}.svg", charts.svg(figure))
        write_table(folder / f"{name}.csv", figure.data)
