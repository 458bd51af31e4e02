# SPDX-License-Identifier: Apache-2.0
"""The command line. Every error is one line; `--debug` adds where it came from."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from convbwd_study.binary import DEFAULT_BUILD, ROOT, Build
from convbwd_study.errors import ExitCode, StudyError, UsageError, from_os_error
from convbwd_study.interrupts import answered_by, drop_refused_output, interrupt
from convbwd_study.machine import cpu_facts, cpu_slug, slug
from convbwd_study.plan import CACHES, LAYOUTS, PASSES, Options, comma_list, make_plan, thread_list
from convbwd_study.progress import progress_on
from convbwd_study.runner import run_study, tally_of
from convbwd_study.study import MANIFEST, changed, check_is_study, opened, progress_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convbwd_study.runner import Tally

DEFAULT_BATCH = 8  # of the default study
MOST_LINES = 20  # of rows that went wrong
STUDIES = ROOT / "reports" / "studies"
PUBLISHED = ROOT / "reports" / "published"
STUDY_HELP = "folder of a study, or the bare name of one in reports/studies or reports/published"

EXIT_CODES = """Exit codes: 0 good, 1 a contender computed something wrong, 2 usage, 3 nothing matched or supported,
4 some rows or cells failed, 5 set-up incomplete, 130 interrupted (the same command goes on)."""

app = typer.Typer(
    help="Races implementations of convolution's backward pass and reports which is fastest where. "
    f"Without a command: the default study, ResNet-50 at batch {DEFAULT_BATCH}, and its report.",
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
_out = Console(soft_wrap=True, highlight=False, markup=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
_debug = False


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="show where an error came from")] = False,
) -> None:
    global _debug
    _debug = debug
    if context.invoked_subcommand:
        return
    with _one_line_errors():
        options = Options(batch=DEFAULT_BATCH)
        folder = default_folder(options)
        tally = _run(Build(), options, folder, timeout=None, again="scripts/study")
        if tally.timed:
            _report(folder, anew=False)
        raise typer.Exit(tally.exit_code)


@app.command(epilog=EXIT_CODES)
def run(
    workload: Annotated[
        list[str] | None,
        typer.Option(help="shipped workload or a file of descriptors; repeatable  [default: resnet50 at batch 8]"),
    ] = None,
    problem: Annotated[list[str] | None, typer.Option(help="one layer as a descriptor; repeatable")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="only this layer of the workload; repeatable")] = None,
    impl: Annotated[str | None, typer.Option(help="name[:isa],...: only these implementations")] = None,
    isa: Annotated[str, typer.Option(help="best | all | list of baseline,avx2,avx512,neon: caps")] = "best",
    pass_: Annotated[str, typer.Option("--pass", help="data,weights: which gradients")] = ",".join(PASSES),
    threads: Annotated[str, typer.Option(help="numbers or all, e.g. 1,2")] = "all",
    layout: Annotated[str, typer.Option(help="native,nchw,nhwc: how tensors are handed over")] = "native",
    cache: Annotated[str, typer.Option(help="warm,cold: state of the caches before each execution")] = "warm",
    batch: Annotated[int | None, typer.Option(min=1, max=1 << 20, help="replaces the batch of every problem")] = None,
    budget: Annotated[str | None, typer.Option(help="time for all cells, e.g. 10m  [default: 7 s a cell]")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the study  [default: reports/studies/...]")] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, help="seconds without a step before a row counts as hung  [default: 60 or more]"),
    ] = None,
    build: Annotated[Path, typer.Option(help="folder of the build to run")] = DEFAULT_BUILD,
) -> None:
    """Runs the cells of a study that are not there yet; run again, it goes on where it was."""
    with _one_line_errors():
        named = bool(workload or problem)
        built = Build(build)
        options = Options(
            workloads=tuple(_source(name) for name in workload or ()) if named else Options.workloads,
            problems=tuple(problem or ()),
            layers=tuple(layer or ()),
            implementations=comma_list("--impl", impl) if impl is not None else (),
            isa=isa,
            passes=comma_list("--pass", pass_, PASSES),
            layouts=comma_list("--layout", layout, LAYOUTS),
            caches=comma_list("--cache", cache, CACHES),
            threads=thread_list(threads, built.cores()),
            batch=batch if named or batch else DEFAULT_BATCH,
            budget=seconds_of(budget) if budget is not None else None,
        )
        folder = out or default_folder(options)
        tally = _run(built, options, folder, timeout, again=shlex.join(["scripts/study", *sys.argv[1:]]))
        _out.print(f"{folder}: {shlex.join(['scripts/study', 'report', str(folder)])} draws the report")
        raise typer.Exit(tally.exit_code)


@app.command(epilog=EXIT_CODES)
def report(study: Annotated[str, typer.Argument(metavar="STUDY", help=STUDY_HELP)]) -> None:
    """Draws report.html, summary.md, results.csv and figures from a study folder."""
    with _one_line_errors():
        _report(study_folder(study))


@app.command(epilog=EXIT_CODES)
def compare(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY STUDY...", help=STUDY_HELP)],
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("compare.html"),
) -> None:
    """Puts several studies (CPUs, compilers, versions) side by side in one page."""
    with _one_line_errors():
        if len(studies) < 2:
            raise UsageError("compare needs at least two studies")
        folders = [study_folder(study) for study in studies]
        from convbwd_study.compare import write_comparison

        comparison = write_comparison(folders, out)
        _out.print(comparison.headline)
        _out.print(comparison.path)


@app.command(epilog=EXIT_CODES)
def publish(
    study: Annotated[str, typer.Argument(metavar="STUDY", help=f"a complete one: {STUDY_HELP}")],
    name: Annotated[str, typer.Option("--as", help="what it is, e.g. resnet50; the machine's name is put before it")],
    readme: Annotated[bool, typer.Option("--readme", help="also make it the README's table of results")] = False,
) -> None:
    """Copies a study to reports/published, without names and paths of this machine."""
    with _one_line_errors():
        from convbwd_study import publish as publishing

        published = publishing.publish(study_folder(study), name)
        if readme:
            publishing.update_readme(ROOT / "README.md", published)
        _out.print(published)


@app.command("list", epilog=EXIT_CODES)
def list_() -> None:
    """Shows the studies on this machine and the workloads that come with the suite."""
    with _one_line_errors():
        _out.print("studies:")
        for manifest in sorted([*STUDIES.glob("*/manifest.json"), *PUBLISHED.glob("**/manifest.json")]):
            try:
                done, total = progress_of(manifest.parent)
                state = f"{done}/{total} cells"
            except StudyError as error:
                state = str(error)
            _out.print(f"  {manifest.parent.relative_to(ROOT)}  {state}")
        _out.print("workloads:")
        for file in sorted((ROOT / "bench" / "workloads").glob("*.txt")):
            _out.print(f"  {file.stem}")


def default_folder(options: Options) -> Path:
    names = [Path(source).stem for source in options.workloads] + ["problem"] * bool(options.problems)
    return STUDIES / f"{slug('+'.join(names))}-{cpu_slug(cpu_facts())}"


def study_folder(named: str) -> Path:
    """The folder of a study given as a path or by its bare name. Refuses, in one line, what is no study."""
    folder = Path(named)
    if Path(named).name == named and not (folder / MANIFEST).is_file():
        homes = [home / named for home in (STUDIES, PUBLISHED)]
        folder = next((home for home in homes if (home / MANIFEST).is_file()), folder)
        if not folder.exists():
            raise UsageError(f"{named}: neither a folder nor the name of a study; `scripts/study list` shows them")
    check_is_study(folder)
    return folder


def seconds_of(text: str) -> float:
    """`10m`, `90s`, `1h30m`, `600` in seconds."""
    parts = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6}(?:\.\d{1,6})?)s?)?", text.strip())
    seconds = (
        sum(float(part or 0) * unit for part, unit in zip(parts.groups(), (3600, 60, 1), strict=True)) if parts else 0
    )
    if seconds <= 0:
        raise UsageError(f"--budget {text}: expected a time such as 10m, 90s or 1h30m")
    return seconds


def _source(name: str) -> str:
    """A file as an absolute path; anything else, a shipped name first of all, is left to the programs."""
    shipped = (ROOT / "bench" / "workloads" / f"{name}.txt").is_file() and "/" not in name
    return str(Path(name).resolve()) if not shipped and Path(name).is_file() else name


def _run(build: Build, options: Options, folder: Path, timeout: float | None, again: str) -> Tally:
    """Runs what is not there yet, and says what came out."""
    plan = make_plan(build, options)
    for workload in plan.workloads:
        for reason in workload.skipped:
            _err.print(f"{workload.name}: skipped {reason}")
    with opened(folder, plan) as study:
        for warning in study.warnings:
            _err.print(warning)
        if study.set_aside:
            _err.print(f"{study.set_aside} cells of another build or of other options set aside in {folder / 'stale'}")
        remaining = len(study.remaining())
        try:
            if remaining:
                run_study(study, build, progress_on(_err, len(plan.cells) - remaining, len(plan.cells)), timeout)
        except KeyboardInterrupt:
            with contextlib.suppress(OSError):  # of a terminal that went away
                _err.print(f"interrupted: {len(study.done)} of {len(plan.cells)} cells are kept; to go on: {again}")
            raise
        tally = tally_of(study)
    if remaining:
        _out.print(
            f"{len(plan.cells)} cells: {tally.timed} rows timed, {tally.skipped} skipped, "
            f"{len(tally.wrong)} wrong, {len(tally.failed)} failed"
        )
    troubles = tally.wrong + tally.failed
    for line in troubles[:MOST_LINES]:
        _err.print(line)
    if len(troubles) > MOST_LINES:
        _err.print(f"... and {len(troubles) - MOST_LINES} more")
    return tally


def _report(folder: Path, anew: bool = True) -> None:
    """Draws the report and says its headline; or only where it is, if it is of what the folder holds now."""
    report = folder / "report.html"
    if not anew and report.exists() and report.stat().st_mtime_ns >= changed(folder):
        _out.print(report)
        return
    from convbwd_study.report import write_report

    result = write_report(folder)
    _out.print(result.headline)
    _out.print(result.path)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        with answered_by(interrupt):
            yield
    except StudyError as error:
        _complain(error)
    except OSError as error:
        _complain(from_os_error(error))
    except KeyboardInterrupt:
        drop_refused_output()
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if _debug:
            raise
        _complain(StudyError(f"unexpected {type(error).__name__}: {error} (--debug shows where)"))


def _complain(error: StudyError) -> NoReturn:
    if _debug:
        _err.print_exception()
    line = " ".join(str(error).split())
    _err.print(f"scripts/study: {line}")
    raise typer.Exit(error.exit_code)
