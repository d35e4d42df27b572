"""`scalinglens data`: the index of public tables, their download, and the check of what is here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from scalinglens.cli.options import parsed
from scalinglens.cli.progress import bar
from scalinglens.errors import OptionError, did_you_mean

__all__ = ["Data", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
ACTIONS = ("list", "fetch", "check")
DIFFERS = 3  # exit status of a check that finds another file than the indexed one


@dataclass(frozen=True)
class Data:
    """List the public tables, fetch them into a cache, or check those that are here.

    scalinglens data list gemstones

    scalinglens data fetch gemstones

    scalinglens data check
    """

    action: Annotated[Positional[str], arg(metavar="list|fetch|check", help_behavior_hint="")]
    """What to do; `list` shows all about a table that is named, `check` compares checksums."""

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[TABLE|TABLE/FILE ...]", help_behavior_hint="")] = ()
    """Tables, or single files of them; all by default, except for `fetch`."""

    mirror: Annotated[str, arg(name="from", metavar="URL", help_behavior_hint="")] = ""
    """Fetch from this address, which serves TABLE/FILE, and not from the origin."""

    timeout: float = 30.0
    """Seconds without an answer after which a fetch is given up."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        if self.action not in ACTIONS:
            raise OptionError(
                f'there is no "data {self.action}"{did_you_mean(self.action, ACTIONS)}; write data {", data ".join(ACTIONS)}'
            )
        if self.action != "fetch" and self.mirror:
            raise OptionError("--from belongs to data fetch")
        if not self.timeout > 0:
            raise OptionError(f"--timeout is a number of seconds above 0, got {self.timeout:g}")
        return {"list": self._list, "fetch": self._fetch, "check": self._check}[self.action]()

    def _list(self) -> int:
        from scalinglens.runs.published import published

        tables = [published(name) for name in self.names] if self.names else list(published())
        if self.json:
            _print([table.to_dict() for table in tables], "tables")
        elif self.names:
            print("\n\n".join(map(str, tables)))
        else:
            print(_overview(tables))
        return 0

    def _fetch(self) -> int:
        from scalinglens.runs.fetch import fetch_published, outcomes

        if not self.names:
            raise OptionError("data fetch needs the name of a table, as in scalinglens data fetch gemstones")
        found = []
        for name in self.names:
            with bar(f"fetching {name}") as progress:
                found += fetch_published(name, base=self.mirror, timeout=self.timeout, progress=progress)
        if self.json:
            _print(outcomes(found), "files")
        else:
            for one in found:
                print(f"{one.file.key}: {one.outcome}{f', {one.path}' if one.path else ''} ({one.says})")
        return 0

    def _check(self) -> int:
        from scalinglens.runs.published import check_published

        found = check_published(*self.names)
        if self.json:
            _print([one.to_dict() for one in found], "files")
        else:
            from scalinglens.cli.table import aligned

            print(aligned([[one.file.key, one.outcome, one.says] for one in found]))
            count = {word: sum(one.outcome == word for one in found) for word in ("right", "differs", "absent")}
            print(f"\n{count['right']} right, {count['differs']} differ, {count['absent']} absent")
        return DIFFERS if any(one.outcome == "differs" for one in found) else 0


def parse(words: Sequence[str]) -> Data:
    """Read the words after `scalinglens data`."""
    return parsed(Data, "data", words)


def _print(items: list[Any], name: str) -> None:
    print(json.dumps({"schema": 1, name: items}, indent=1))


def _overview(tables: Sequence[Any]) -> str:
    from scalinglens.cli.table import aligned, shortened

    rows = [["name", "rows", "here", "fetch", "paper", "title"]]
    for table in tables:
        here = sum(file.found() is not None for file in table.files)
        exact = sum(not file.derived for file in table.files)
        rows.append([
            table.name, f"{sum(file.rows for file in table.files):,}", f"{here}/{len(table.files)}",
            f"{exact}/{len(table.files)}", table.paper or "-", shortened(table.title, 60),
        ])  # fmt: skip
    return (
        f"{aligned(rows)}\n\n{len(tables)} tables; scalinglens data list NAME shows all about one. here: files found in "
        "SCALINGLENS_DATA or the cache.\nfetch: files that the origin serves as they are; the others were made from it. No "
        "address was reached when the index was made."
    )
