# SPDX-License-Identifier: Apache-2.0
"""JSON files read with suspicion: limited in size, free of NaN, and every complaint names the file and the field."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, NoReturn

from convbwd_study.errors import BadDocument, from_os_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 32 * 2**20
MAX_ITEMS = 50_000  # of one list
MAX_TEXT = 4_000  # characters of one string
MAX_SHOWN = 60  # characters of a value or name in a complaint

_FILE_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,239}")


class Fields:
    """One JSON object: `place` is its way from the root of `file`, for complaints."""

    def __init__(self, values: object, file: Path, place: str = "") -> None:
        self.file, self.place = file, place
        if not isinstance(values, dict):
            raise BadDocument(f"{file}: {place or 'the document'}: expected an object")
        self.values = values

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def path(self, key: str) -> str:
        """The way to `key`, which may be any text, in one printable line."""
        name = key if key.isprintable() and len(key) <= MAX_SHOWN else _shown(key)
        return f"{self.place}.{name}" if self.place else name

    def refuse(self, key: str, why: str) -> NoReturn:
        raise BadDocument(f"{self.file}: {self.path(key)}: {why}")

    def _get(self, key: str) -> object:
        if key not in self.values:
            self.refuse(key, "missing")
        return self.values[key]

    def text(self, key: str, default: str | None = None, allowed: tuple[str, ...] = ()) -> str:
        if default is not None and key not in self.values:
            return default
        value = self._get(key)
        if not isinstance(value, str):
            self.refuse(key, f"expected text, found {_shown(value)}")
        if len(value) > MAX_TEXT:
            self.refuse(key, f"longer than {MAX_TEXT} characters")
        if any(ord(character) < 32 and character not in "\n\t" for character in value):
            self.refuse(key, "has control characters")
        if any(0xD800 <= ord(character) < 0xE000 for character in value):
            self.refuse(key, "is not Unicode text")
        if allowed and value not in allowed:
            self.refuse(key, f"expected one of {', '.join(allowed)}, found {_shown(value)}")
        return value

    def name(self, key: str) -> str:
        """Text of one line that is not empty."""
        value = self.text(key)
        if not value.strip() or "\n" in value or "\t" in value:
            self.refuse(key, "expected a name")
        return value

    def name_in_key(self, key: str, prefix: str) -> str:
        """What follows the prefix of a key, as a name: one printable line."""
        found = key.removeprefix(prefix)
        if not found.strip() or not found.isprintable() or len(found) > MAX_SHOWN:
            self.refuse(key, f"expected a name of up to {MAX_SHOWN} printable characters after {prefix}")
        return found

    def file_name(self, key: str) -> str:
        """A name that a file in a folder of ours can have."""
        value = self.name(key)
        if not _FILE_NAME.fullmatch(value):
            self.refuse(key, "expected letters, digits, dots, dashes and underscores")
        return value

    def number(self, key: str, default: float | None = None, least: float = 0.0) -> float:
        """A finite number, or text that spells one, not below `least`."""
        if default is not None and key not in self.values:
            return default
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            self.refuse(key, f"expected a number, found {_shown(value)}")
        try:
            number = float(value)
        except (ValueError, OverflowError):
            self.refuse(key, f"expected a number, found {_shown(value)}")
        if not math.isfinite(number):
            self.refuse(key, f"expected a finite number, found {_shown(value)}")
        if not number >= least:
            self.refuse(key, f"expected at least {least:g}, found {_shown(value)}")
        return number

    def whole(self, key: str, default: int | None = None, least: int = 0) -> int:
        number = self.number(key, default, least)
        if number != int(number) or number > 2**53:
            self.refuse(key, f"expected a whole number, found {_shown(self.values.get(key))}")
        return int(number)

    def flag(self, key: str) -> bool:
        """JSON's true and false, absent meaning false."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.refuse(key, f"expected true or false, found {_shown(value)}")
        return value

    def object(self, key: str) -> Fields:
        return Fields(self._get(key), self.file, self.path(key))

    def texts(self, key: str) -> list[str]:
        """A list of texts, absent meaning empty."""
        values = self.values.get(key, [])
        if not isinstance(values, list) or len(values) > MAX_ITEMS:
            self.refuse(key, "expected a list of texts")
        return [
            Fields({"text": value}, self.file, f"{self.path(key)}[{i}]").text("text") for i, value in enumerate(values)
        ]

    def objects(self, key: str) -> Iterator[Fields]:
        values = self._get(key)
        if not isinstance(values, list):
            self.refuse(key, f"expected a list, found {_shown(values)}")
        if len(values) > MAX_ITEMS:
            self.refuse(key, f"has more than {MAX_ITEMS} items")
        for index, value in enumerate(values):
            yield Fields(value, self.file, f"{self.path(key)}[{index}]")


def read(file: Path) -> Fields:
    """The object at the root of a JSON file."""
    try:
        if not file.is_file():  # a pipe or a device would never end
            raise BadDocument(f"{file}: not a regular file" if file.exists() else f"{file}: no such file")
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadDocument(f"{file}: more than the {MAX_BYTES} bytes that are read")
    except OSError as error:
        raise from_os_error(error) from error

    def refuse_constant(word: str) -> NoReturn:
        raise BadDocument(f"{file}: has {word}, which is not JSON")

    try:
        return Fields(json.loads(content.decode("utf-8"), parse_constant=refuse_constant), file)
    except UnicodeDecodeError as error:
        raise BadDocument(f"{file}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise BadDocument(f"{file}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise BadDocument(f"{file}: not JSON that can be read: {error}") from error


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
