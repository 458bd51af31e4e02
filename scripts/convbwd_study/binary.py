# SPDX-License-Identifier: Apache-2.0
"""Talks to the two programs of a build: `convbwd` for facts, `convbwd_bench` for cells."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from convbwd_study.documents import Fields
from convbwd_study.errors import BadDocument, ExitCode, NothingMatched, StudyError, UsageError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_BUILD = ROOT / "build" / "release"
ISAS = ("baseline", "neon", "avx2", "avx512")  # each a superset of what runs below it


@dataclass(frozen=True)
class Row:
    """One implementation compiled for one instruction set, or one that was not built."""

    name: str
    isa: str
    built: bool
    runs_here: bool
    reason: str


@dataclass(frozen=True)
class Layer:
    name: str
    count: int
    problem: str
    macs: float


@dataclass(frozen=True)
class Workload:
    """`source` is what the programs are told: a shipped name or a file; empty for bare problems."""

    name: str
    source: str
    layers: tuple[Layer, ...]
    skipped: tuple[str, ...]

    @property
    def digest(self) -> str:
        content = [[layer.name, layer.count, layer.problem] for layer in self.layers]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class Build:
    """A folder with the compiled programs."""

    def __init__(self, folder: Path = DEFAULT_BUILD) -> None:
        self.bench = folder / "bench" / "convbwd_bench"
        self.tool = folder / "bench" / "convbwd"
        for program in (self.bench, self.tool):
            if not program.is_file():
                raise UsageError(f"{program} is not there; build it first: cmake --preset release && cmake --build ...")

    def digest(self) -> str:
        """sha256 of the program that measures: a rebuilt one makes new cells."""
        with self.bench.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def rows(self) -> tuple[Row, ...]:
        """Every row of the registry, in display order."""
        return tuple(
            Row(
                name=row.name("name"),
                isa=row.text("isa", default=""),
                built=row.flag("built"),
                runs_here=row.flag("runs_here"),
                reason=row.text("reason", default=""),
            )
            for row in self._ask("rows", "list", "--json").objects("rows")
        )

    def cores(self) -> int:
        """CPUs that the programs may keep busy at the same time, as they see it: affinity and quota count."""
        return self._ask("machine", "machine", "--json").object("machine").whole("cores", least=1)

    def workload(self, source: str, batch: int | None) -> Workload:
        """The layers of a shipped workload or of a file of descriptors."""
        return self._layers(source, f"--workload={source}", batch)

    def problem(self, descriptor: str, batch: int | None) -> Workload:
        """One bare problem, as a workload of one layer."""
        return self._layers("", f"--problem={descriptor}", batch)

    def _layers(self, source: str, selection: str, batch: int | None) -> Workload:
        batches = [f"--batch={batch}"] if batch else []
        workload = self._ask("workload", "layers", selection, *batches, "--json").object("workload")
        return Workload(
            name=workload.name("workload"),
            source=source,
            layers=tuple(
                Layer(layer.name("name"), layer.whole("count"), layer.name("problem"), layer.number("macs"))
                for layer in workload.objects("layers")
            ),
            skipped=tuple(
                f"line {line.whole('line')}: {line.text('reason')}"
                for line in (workload.objects("skipped") if "skipped" in workload else ())
            ),
        )

    def _ask(self, what: str, *arguments: str) -> Fields:
        """The tool's JSON answer, as the field `what`; or its own complaint, with its own exit code."""
        asked = Path(" ".join([self.tool.name, *arguments]))
        answer = subprocess.run([self.tool, *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL)
        if answer.returncode:
            complaint = last_line(answer.stderr.decode(errors="replace")) or f"{asked} failed"
            kinds: dict[int, type[StudyError]] = {ExitCode.USAGE: UsageError, ExitCode.NOTHING_MATCHED: NothingMatched}
            raise kinds.get(answer.returncode, StudyError)(complaint)
        try:
            return Fields({what: json.loads(answer.stdout)}, asked)
        except ValueError as error:
            raise BadDocument(f"{asked}: not JSON: {error}") from None


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
