"""Read JSON in its four habits: a list of records, an object of columns, {"runs": ...}, and one record per line."""

from __future__ import annotations

import json
from collections.abc import Mapping

from scalinglens.errors import RunsError
from scalinglens.runs.raw import RawTable, from_columns, from_records
from scalinglens.runs.recognise import read_header

__all__ = ["read_json"]

_WRAPPERS = ("runs", "records", "rows", "data")


class _Twice(ValueError):
    """A key that stands twice in one object."""


def read_json(text: str, where: str) -> RawTable:
    """Read JSON or JSON lines, whichever the text is.

    Raises:
        RunsError: cut or damaged text, with line and column; content that is no table of runs.

    Cost: linear.

    >>> read_json('{"loss": 3.0}\\n{"loss": 2.5}\\n{"los', "log.jsonl").unread
    (('line 3 is cut', 2),)
    """
    try:
        content = _load(text)
    except json.JSONDecodeError as problem:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if _is_record(lines[0][1]) and len(lines) > 1:
            return _read_lines(lines, where)
        at_end = problem.pos >= len(text.rstrip()) - 1 or problem.msg.startswith("Unterminated")
        says = "the file ends in the middle of it" if at_end else f"{problem.msg} at {text[problem.pos :][:20]!r}"
        raise RunsError(
            f"{where}, line {problem.lineno}, column {problem.colno}: this is not complete JSON, {says}; "
            "write the file again, or save it as JSON lines, one record per line"
        ) from None
    except _Twice as problem:
        raise RunsError(f"{where} has the key {problem} twice in one object; rename one of them") from None
    except (RecursionError, ValueError) as problem:
        raise RunsError(f"{where} cannot be read as JSON ({problem}); write a list of flat records") from None
    return _table(content, where)


def _load(text: str) -> object:
    return json.loads(text, object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return result


def _is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), Mapping)
    except (ValueError, RecursionError):
        return False


def _read_lines(lines: list[tuple[int, str]], where: str) -> RawTable:
    records: list[object] = []
    for number, line in lines:
        try:
            record = _load(line)
        except _Twice as problem:
            raise RunsError(f"{where}, line {number} has the key {problem} twice; rename one of them") from None
        except (ValueError, RecursionError) as problem:
            if number == lines[-1][0]:  # a log that is still being written
                note = f"the last line ({number}) is cut ({line[:30]!r}) and was left out"
                return from_records(records, where, (note,), ((f"line {number} is cut", len(records)),))
            raise RunsError(
                f"{where}, line {number} is not complete JSON ({problem}): {line[:40]!r}; mend or delete the line"
            ) from None
        if not isinstance(record, Mapping):
            raise RunsError(f"{where}, line {number} holds {line[:40]!r}, not a record; write one object per line")
        records.append(record)
    return from_records(records, where)


def _table(content: object, where: str) -> RawTable:
    if isinstance(content, list):
        if not content:
            raise RunsError(f"{where} holds an empty list; write one object per run")
        return from_records(content, where)
    if not isinstance(content, Mapping):
        raise RunsError(f"{where} holds a single {type(content).__name__}, not a table; write a list of records")
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        names, rows = content["columns"], content["data"]
        if any(not isinstance(row, list) or len(row) != len(names) for row in rows):
            raise RunsError(f'{where}: every row of "data" must have the {len(names)} values of "columns"')
        return from_records([dict(zip(map(str, names), row, strict=True)) for row in rows], where)
    for key in _WRAPPERS:
        if isinstance(content.get(key), list | dict) and all(
            not isinstance(value, list) for name, value in content.items() if name != key
        ):
            note = f'the runs were found under "{key}"'
            inner = content[key]
            if isinstance(inner, dict) or (inner and isinstance(inner[0], dict)):
                table = _table(inner, where)
                return RawTable(table.frame, (note, *table.notes), table.unread)
    if content and all(isinstance(value, Mapping) for value in content.values()):
        inner_keys = {tuple(value) for value in content.values() if isinstance(value, Mapping)}
        if len(inner_keys) > 1 or not all(key.isdigit() for key in next(iter(inner_keys))):
            records = [{"run": name, **value} for name, value in content.items() if isinstance(value, Mapping)]
            table = from_records(records, where)
            return RawTable(table.frame, ("the keys of the object were taken as names of runs",), table.unread)
    scalars = not any(isinstance(value, list | Mapping) for value in content.values())
    if scalars and any(read_header(str(name)) for name in content):
        return from_records([content], where)  # a log of one line, or a single run
    return from_columns(content, where)
