# SPDX-License-Identifier: Apache-2.0
"""What the runner must know about this machine before the first cell: its CPU and free memory."""

from __future__ import annotations

import contextlib
import platform
import re
from pathlib import Path

_CPU_FIELDS = ("vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer", "CPU part")


def slug(text: str, longest: int = 80) -> str:
    """`text` as a file name: letters, digits, `.`, `_` and `-`, neither hidden nor an option nor a folder."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("._-")[:longest].rstrip("._-") or "unnamed"


def cpu_facts(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """The facts that tell one CPU model from another; never clock readings, which change."""
    facts: dict[str, str] = {"machine": platform.machine()}
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return facts
    for line in lines:
        field, _, value = line.partition(":")
        if field.strip() in _CPU_FIELDS:
            facts.setdefault(field.strip(), value.strip())
    return facts


def cpu_slug(facts: dict[str, str]) -> str:
    """`Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz` becomes `intel-xeon-gold-6130`."""
    name = facts.get("model name") or " ".join(
        facts[field] for field in ("machine", "CPU implementer", "CPU part") if field in facts
    )
    return slug(re.sub(r"\((R|TM)\)|\bCPU\b|@.*", " ", name, flags=re.IGNORECASE).lower(), longest=48)


def available_memory() -> int | None:
    """Bytes that can be had without swapping, at most the limit of the control group; None where unknown."""
    candidates = [
        limit
        for file in (_control_group("memory") / "memory.limit_in_bytes", _control_group("") / "memory.max")
        if (limit := _number(file)) is not None
    ]
    try:
        meminfo = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        meminfo = []
    candidates += [int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable:")]
    return min(candidates, default=None)


def memory_kills() -> int:
    """A count that grows when the kernel kills a process for lack of memory, ours or another of this machine."""
    counted = (
        _control_group("") / "memory.events",
        _control_group("memory") / "memory.oom_control",
        Path("/proc/vmstat"),
    )
    kills = 0
    for file in counted:
        with contextlib.suppress(OSError, ValueError):
            kills += sum(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("oom_kill "))
    return kills


def _control_group(controller: str) -> Path:
    """The folder of this process's control group; controller "" is the unified hierarchy of version 2."""
    root = Path("/sys/fs/cgroup") / controller
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(",") and (root / path.lstrip("/")).is_dir():
                return root / path.lstrip("/")
    except (OSError, ValueError):
        pass
    return root


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
