"""What a run is made of: typed, strict, from TOML, ``--set`` and the command line alike.

Privacy settings decide what may be promised; engine settings decide speed and memory only.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dpcond.errors import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PrivacyConfig(_Strict):
    """The promise that is asked for."""

    mode: Literal["dp", "none", "free"] = Field(
        "dp",
        description="'none' runs the same code without noise and promises nothing; 'free' condenses a release once more, "
        "under the promise it has",
    )
    epsilon: float = Field(1.0, description="budget, 0.05 to 100")
    delta: float = Field(1e-5, description="failure probability; below one over the declared number of records")
    adjacency: Literal["add_remove", "replace_one"] = Field("add_remove", description="what a neighbouring dataset is")
    noise: Literal["gaussian", "discrete"] = Field(
        "gaussian", description="'discrete' is hardened against float attacks"
    )

    @model_validator(mode="after")
    def _free_keeps_its_promise(self) -> Self:
        stated = sorted(self.model_fields_set - {"mode"})
        if self.mode == "free" and stated:
            raise ValueError(f"mode free keeps the promise of the release it condenses: leave {stated[0]} out")
        return self


class EngineConfig(_Strict):
    """How it is computed; changes nothing of what is asked or promised."""

    device: str = Field("auto", description="cpu, cuda or auto")
    batch: int = Field(256, ge=1, description="records held at once")


class Config(_Strict):
    """One condensation: which method, how large a set, under which promise."""

    method: str = Field("auto", description="a method, or auto: the recommended one for the data, by rule")
    minutes: float | None = Field(None, gt=0, description="time that auto may plan for; default: no limit")
    ipc: int = Field(10, ge=1, description="synthetic records per class")
    seed: int = Field(0, ge=0, description="public seed of networks and initialisation, never of noise")
    privacy: PrivacyConfig = Field(default_factory=PrivacyConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    options: dict[str, Any] = Field(default_factory=dict, description="the method's own options")


#: Settings that have a dotted key: ``privacy.epsilon``.
SECTIONS: dict[str, type[BaseModel]] = {"privacy": PrivacyConfig, "engine": EngineConfig}


def load_config(
    file: str | Path | None = None, settings: Iterable[str] = (), given: Mapping[str, Any] | None = None
) -> Config:
    """Defaults, then ``file`` (TOML), then ``given`` (dotted key -> value), then ``settings`` (``key=value`` texts).

    A key without a dot that no section knows is an option of the method: ``--set networks=50``.

    Raises:
        InputError: a file that cannot be read, an unknown key, or a value of the wrong type, with the nearest key.
    """
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            tree = tomllib.loads(Path(file).read_text())
        except OSError as error:
            raise InputError(f"config {file}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"config {file}: not valid TOML ({error})") from None
        for key in tree:
            _refuse_outside_its_section(key)
    for key, value in (given or {}).items():
        _put(tree, key, value)
    for text in settings:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise InputError(f"--set {text!r}: expected key=value, e.g. --set networks=50")
        _put(tree, key.strip(), _literal(value.strip()))
    return checked(Config, tree, "config")


def checked(model: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """``model(**values)``, with pydantic's findings as one clear line."""
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error, model)}") from None


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    head, *rest = key.split(".")
    if not rest and head not in Config.model_fields:
        _refuse_outside_its_section(head)
        head, rest = "options", [head]
    if not rest and head in SECTIONS:
        first = next(iter(SECTIONS[head].model_fields))
        raise InputError(f"config key {key!r} is a section: write {head}.{first}=…")
    for part in rest:
        tree = tree.setdefault(head, {})
        if not isinstance(tree, dict):
            raise InputError(f"config key {key!r}: {head!r} is a value, not a section")
        head = part
    tree[head] = value


def _refuse_outside_its_section(key: str) -> None:
    section = next((s for s, known in SECTIONS.items() if key in known.model_fields), None)
    if section is not None:
        raise InputError(f"config key {key!r}: it is one of {section}; write {section}.{key}")


def _literal(text: str) -> Any:
    """A TOML value, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _first(error: ValidationError, model: type[BaseModel]) -> str:
    found = error.errors()[0]
    path = [str(part) for part in found["loc"]]
    if found["type"] == "extra_forbidden":
        section = model
        for part in path[:-1]:
            annotation = section.model_fields[part].annotation
            assert isinstance(annotation, type)
            section = annotation
        near = difflib.get_close_matches(path[-1], section.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(section.model_fields)}"
        return f"{'.'.join(path)!r} is unknown; {hint}"
    return f"{'.'.join(path)} = {found['input']!r}: {found['msg'].lower()}"
