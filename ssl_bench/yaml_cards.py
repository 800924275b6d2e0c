"""Read a YAML card and check it: an error names the file, the line, the field and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ssl_bench.errors import CardError

C = TypeVar("C", bound=BaseModel)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_Loader):  # type: ignore[misc, valid-type]
    """YAML silently keeps the last of two equal keys; a card with two models of one name must be refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's mapping."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CardError(f"{path}: is not UTF-8 text.", "A card is a YAML file.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise CardError(f"{path}{line}: is not valid YAML: {getattr(error, 'problem', error)}.") from None
    if not isinstance(content, dict):
        raise CardError(f"{path}: a card is a mapping of fields, this is a {type(content).__name__}.")
    return content


def validate(kind: type[C], content: dict[str, Any], path: Path | None, prefix: tuple[str, ...] = ()) -> C:
    """``content`` as a ``kind``. ``prefix``: keys that lead from the top of the file to ``content``."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise CardError("\n".join(_explain(kind, problem, path, prefix) for problem in error.errors())) from None


def read_card(kind: type[C], path: Path) -> C:
    """Read and check a whole file."""
    return validate(kind, read_yaml(path), path)


def _explain(kind: type[BaseModel], problem: Any, path: Path | None, prefix: tuple[str, ...]) -> str:
    location = tuple(problem["loc"])
    where = f"{path}:{line_of(path, (*prefix, *location))}: " if path else ""
    field = ".".join(str(part) for part in (*prefix, *location))
    if problem["type"] == "extra_forbidden":
        return f"{where}{field}: there is no such field. Allowed: {', '.join(_fields_at(kind, location[:-1]))}."
    given = "" if problem["type"] == "missing" else f" (given: {problem['input']!r})"
    return f"{where}{field}: {problem['msg']}{given}."


def _fields_at(kind: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the card type that ``location`` leads to."""
    for part in location:
        field = kind.model_fields.get(str(part))
        if field is None:
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        kind = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), kind)
    return list(kind.model_fields)


def line_of(path: Path, location: tuple[Any, ...]) -> int:
    """Line (from 1) of the deepest part of ``location`` that the file has."""
    node: Any = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
