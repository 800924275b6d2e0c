"""Settings of protocols and methods: typed, checked, with the paper's values as defaults."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ssl_bench.errors import SettingsError


class Settings(BaseModel):
    """Base of all settings: unknown names are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


S = TypeVar("S", bound=Settings)


def resolve(kind: type[S], given: dict[str, Any], owner: str) -> S:
    """Check ``given`` against ``kind``; an error names the setting, what was given and what is allowed."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"]) or "settings"
            if problem["type"] == "extra_forbidden":
                lines.append(f"{where}: {owner} has no such setting")
            else:
                lines.append(f"{where} = {problem['input']!r}: {problem['msg']}")
        allowed = ", ".join(f"{name} ({field.default!r})" for name, field in kind.model_fields.items())
        raise SettingsError("; ".join(lines) + ".", f"Settings of {owner} (defaults): {allowed}") from None
