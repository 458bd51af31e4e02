# SPDX-License-Identifier: Apache-2.0
"""Stands in for convbwd_bench and convbwd: the same flags, events, documents, exit codes, and misbehaviour on demand.

`FakeBuild(folder)` makes a build; `behave(...)` says what its rows do from then on, without changing its digest:
    rows       {"avx2": {"do": "crash", "step": "prove", "only": "conv1 data", "from_run": 2}, ...}; unnamed rows
               are timed at once
    document   what becomes of the document: whole, none, truncated, or {"path.to.field": new value}
    seconds    how long each step takes
    stderr     what the process says
    cores      how many CPUs it may keep busy
    code       it ends with this exit code, before any step
    machine    {"conv1 data": [["reason to be noisy", peak in GFLOP/s], ...], ...}: in its first, second, ... run;
               the last one stands for all that follow
    before     "crash": before any step;  after: "crash": when the document is written
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROWS = [("naive", "baseline", True), ("reordered", "avx2", True), ("avx2", "avx2", True), ("onednn", "", False)]
LAYERS = {"tiny": [("conv1", "mb2ic3ih9oc4kh3", 1), ("conv2", "mb2ic4ih7oc5kh1", 3)], "empty": []}
PROGRAM = """#!{python} -IS
# build {version}
import sys
sys.path.insert(0, {tests!r})
import fake_bench
sys.exit(fake_bench.{main}(sys.argv))
"""


class FakeBuild:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bench").mkdir(parents=True)
        self.rebuild(1)

    def rebuild(self, version: int) -> None:
        for program, main in (("convbwd_bench", "bench"), ("convbwd", "tool")):
            file = self.folder / "bench" / program
            tests = str(Path(__file__).parent)
            file.write_text(PROGRAM.format(python=sys.executable, version=version, tests=tests, main=main))
            file.chmod(0o755)

    def behave(self, **behaviour: Any) -> None:
        (self.folder / "behaviour.json").write_text(json.dumps(behaviour))

    def calls(self) -> list[dict[str, list[str]]]:
        """The flags of each process so far."""
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _behaviour(program: str) -> dict[str, Any]:
    file = Path(program).parents[1] / "behaviour.json"
    return json.loads(file.read_text()) if file.exists() else {}


def tool(argv: list[str]) -> int:
    command, *arguments = argv[1:]
    if command == "list":
        rows = [
            {"name": name, "isa": isa, "built": built, "runs_here": built, "reason": "" if built else "no oneDNN 3"}
            for name, isa, built in ROWS
        ]
        print(json.dumps(_behaviour(argv[0]).get("list", rows)))
        return 0
    if command == "machine":
        print(json.dumps({"cores": _behaviour(argv[0]).get("cores", "2")}))
        return 0
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments if "=" in argument)
    if "problem" in flags:
        name, layers = "problem", [(flags["problem"], flags["problem"], 1)]
    elif flags["workload"] in LAYERS:
        name, layers = flags["workload"], LAYERS[flags["workload"]]
    elif Path(flags["workload"]).is_file():
        name, layers = (Path(flags["workload"]).stem, json.loads(Path(flags["workload"]).read_text()))
    else:
        print(f"convbwd: {flags['workload']}: no such workload", file=sys.stderr)
        return 2
    skipped = [{"line": 3, "text": "id7", "reason": "3-D"}]
    entries = [{"name": n, "problem": p, "count": c, "macs": 1000.0, "nominal_macs": 1000.0} for n, p, c in layers]
    print(json.dumps({"workload": name, "layers": entries, "skipped": skipped}))
    return 0


def bench(argv: list[str]) -> int:
    flags: dict[str, list[str]] = {}
    for argument in argv[1:]:
        flag, _, value = argument.removeprefix("--").partition("=")
        flags.setdefault(flag, []).append(value)
    with (Path(argv[0]).parents[1] / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(flags) + "\n")
    behaviour = _behaviour(argv[0])
    print("\x00 garbage a row prints")
    print(behaviour.get("stderr", ""), file=sys.stderr, flush=True)
    if behaviour.get("before") == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if "code" in behaviour:
        return int(behaviour["code"])
    return _Process(flags | {"program": argv[:1]}, behaviour).run()


class _Process:
    def __init__(self, flags: dict[str, list[str]], behaviour: dict[str, Any]) -> None:
        one = {flag: values[0] for flag, values in flags.items()}
        self.one, self.behaviour = one, behaviour
        self.workload, self.layer = (
            (Path(one["workload"]).stem, one["layer"]) if "workload" in one else ("problem", one["problem"])
        )
        self.problem = one.get("problem") or next(p for n, p, _ in self._layers() if n == self.layer)
        self.count = next((c for n, _, c in self._layers() if n == self.layer), 1)
        self.excluded = dict(text.split("=", 1) for text in flags.get("exclude", []))
        self.entries: list[dict[str, Any]] = []

    @property
    def cell(self) -> str:
        return f"{self.layer} {self.one['pass']}"

    def runs(self) -> int:
        """How often this cell has run, with this time."""
        calls = (Path(self.one["program"]).parents[1] / "calls.jsonl").read_text().splitlines()
        return sum(f"{call.get('layer', [''])[0]} {call['pass'][0]}" == self.cell for call in map(json.loads, calls))

    def machine(self) -> tuple[str, float]:
        states = self.behaviour.get("machine", {}).get(self.cell, [["", 2.0]])
        noisy, peak = states[max(0, min(self.runs(), len(states)) - 1)]
        return noisy, peak

    def _layers(self) -> list[Any]:
        name = self.one.get("workload", "tiny")
        return LAYERS[name] if name in LAYERS else json.loads(Path(name).read_text())

    def run(self) -> int:
        wanted = self.one.get("impl", "").split(",") if "impl" in self.one else None
        for name, isa, built in ROWS:
            if wanted and name not in wanted and f"{name}:{isa}" not in wanted:
                continue
            title = f"{name}:{isa or 'baseline'}"
            if not built:
                self.entry(title, error="skip: not built: no oneDNN 3")
            elif title in self.excluded:
                self.entry(title, error=self.excluded[title])
            else:
                self.row(name, title)
        messages = [entry.get("error_message", "") for entry in self.entries]
        self.write()
        with Path(self.one["events"]).open("a") as events:
            events.write('{"event":"cell","state":"done"}\n')
        if self.behaviour.get("after") == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if any(message.startswith("wrong") for message in messages):
            return 1
        return 4 if any(message.startswith("failed") for message in messages) else 0

    def row(self, name: str, title: str) -> None:
        wish = self.behaviour.get("rows", {}).get(name, {})
        if wish.get("only") not in (None, self.cell) or self.runs() < wish.get("from_run", 1):
            wish = {}
        for step in ("plan", "prove", "time"):
            self.event("begin", title, step)
            time.sleep(self.behaviour.get("seconds", 0))
            if wish.get("step", "prove") == step:
                misbehave(wish.get("do", ""))
            self.event("end", title, step)
        self.entry(title, error=wish.get("error"))

    def event(self, kind: str, title: str, step: str) -> None:
        with Path(self.one["events"]).open("a") as events:
            events.write(json.dumps({"event": kind, "contender": title, "step": step, "time": time.time()}) + "\n")

    def entry(self, title: str, error: str | None) -> None:
        one = self.one
        conditions = f"{one['layout']}/{one['cache']}/threads:{one['threads']}/manual_time"
        name = f"{one['pass']}/{self.workload}:{self.layer}/{title}/{conditions}"
        entry: dict[str, Any] = {"name": name, "run_type": "iteration", "repetition_index": 0, "repetitions": 1}
        if error:
            entry |= {"error_occurred": True, "error_message": error}
        else:
            entry |= {"iterations": 9, "real_time": 1.5, "cpu_time": 1.5, "time_unit": "ms", "label": "", "gflops": 1.0}
        self.entries.append(entry)

    def write(self) -> None:
        texts = "cpu_model cpu_vendor cpu_family_model_stepping microcode isa_best cores memory_bytes kernel governor"
        texts += " virtualisation thp os compiler build_type commit dirty binary_sha256 noisy started flags_avx2"
        numbers = "batch macs nominal_macs elapsed_seconds fma_peak_gflops_before fma_peak_gflops_after"
        numbers += " bandwidth_gbs_before bandwidth_gbs_after"
        context = dict.fromkeys(texts.split(), "") | dict.fromkeys(numbers.split(), "2.0")
        context |= {key: self.one[key] for key in ("pass", "layout", "cache", "threads", "seed")}
        context |= {"workload": self.workload, "layer": self.layer, "problem": self.problem, "count": str(self.count)}
        context |= {"convbwd_schema": "1", "isa_cap": self.one["isa"], "cpu_model": "Fake CPU"}
        context["noisy"], peak = self.machine()
        context |= dict.fromkeys(("fma_peak_gflops_before", "fma_peak_gflops_after"), str(peak))
        document: dict[str, Any] = {"context": context, "benchmarks": self.entries}
        wish = self.behaviour.get("document", "whole")
        if isinstance(wish, dict):
            for path, value in wish.items():
                *places, last = [int(place) if place.isdecimal() else place for place in path.split(".")]
                target: Any = document
                for place in places:
                    target = target[place]
                if value == "-":
                    del target[last]
                else:
                    target[last] = float("nan") if value == "NaN" else value
        text = json.dumps(document)
        if wish != "none":
            Path(self.one["benchmark_out"]).write_text(text[: len(text) // 2] if wish == "truncated" else text)


def misbehave(what: str) -> None:
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "abort":
        os.abort()
    elif what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        os._exit(0)
    elif what == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", "987654"])
        time.sleep(987654)
    elif what == "leak":
        hoard = []
        try:
            while len(hoard) < 4000:
                hoard.append(bytearray(16 << 20))
        except MemoryError:
            print("terminate called after throwing an instance of 'std::bad_alloc'", file=sys.stderr, flush=True)
            os.abort()
    elif what == "flood":
        for _ in range(200):
            sys.stderr.write("x" * 10_000 + "\n")
        os.kill(os.getpid(), signal.SIGSEGV)
