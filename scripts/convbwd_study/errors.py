# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, each kind with the exit code it ends the program with."""

from __future__ import annotations

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    GOOD = 0
    WRONG = 1  # a contender computed something wrong
    USAGE = 2
    NOTHING_MATCHED = 3  # or nothing of it is supported here
    SOME_FAILED = 4  # rows or whole cells; the rest is good
    INTERRUPTED = 130  # the same command goes on


class StudyError(Exception):
    """One line for the user; `exit_code` says what kind of trouble it is."""

    exit_code = ExitCode.SOME_FAILED


class UsageError(StudyError):
    exit_code = ExitCode.USAGE


class NothingMatched(StudyError):
    exit_code = ExitCode.NOTHING_MATCHED


class DiskFull(StudyError):
    pass


class BadDocument(StudyError):
    """A file that does not say what it should; the message names the file and the field."""

    exit_code = ExitCode.USAGE


def from_os_error(error: OSError) -> StudyError:
    """The system's complaint as one of ours: a full disk is bad luck, most other refusals are a wrong path."""
    where = f"{error.filename}: " if error.filename else ""
    what = f"{where}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"the disk is full ({what}); make room, then the same command goes on")
    return UsageError(what)
