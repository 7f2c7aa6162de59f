"""What a field of a config says of itself, once: help, names, bounds.

    timeout_seconds: Annotated[float, Opt("Longest time for one call.", "Limits"), Gt(0), Le(3600)] = 30.0

Options, environment variables, keys of humandetect.toml and the reference pages are made from it, and `check` holds
every value against it, whoever gives it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from dataclasses import Field as DataclassField
from functools import cache, reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from humandetect.config.option import Field, Opt, Panel
from humandetect.errors import UsageError

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Group:
    """Puts a config into another; with a prefix it has a table of its own in humandetect.toml."""

    prefix: str = ""
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    """None: all of its fields can be set from outside."""

    def has(self, name: str) -> bool:
        """Whether a field within it can be set from outside."""
        return name not in self.without and name in (self.only or (name,))


def check(config: Any) -> None:
    """Raise UsageError unless each field of a config keeps its bounds and choices; paths given as text become paths."""
    for field in fields_of(type(config)):  # type: ignore[arg-type]  # mypy: a type is not hashable
        if len(field.path) == 1:  # those of configs within it were checked when they were made
            value = getattr(config, field.name)
            field.check(value, field.name)
            if field.kind is Path and value is not None:
                path = tuple(map(field.to_path, value)) if field.many else field.to_path(value)
                object.__setattr__(config, field.name, path)


def check_use(field: Field, config: Any) -> None:
    """Raise UsageError where a field means nothing with what else a config sets, or does not."""
    within = field.path[:-1]
    near = [one for one in fields_of(config.__class__) if one.path[:-1] == within]
    beside = reduce(getattr, within, config)
    needed = [one for one in near if one.name in field.opt.needs]
    if needed and not any(getattr(beside, one.name) for one in needed):
        names = " or ".join(one.names[0] for one in needed)
        raise UsageError(f"{field.names[0]} means nothing without {names}: give that, too, or leave it out")
    for one in near:
        if one.name in field.opt.not_with and getattr(beside, one.name):
            raise UsageError(f"{field.names[0]} means nothing with {one.names[0]}: leave one of them out")


@cache
def fields_of(config: type) -> tuple[Field, ...]:
    """Return the fields of a config and of the configs within it, by panels."""
    return by_panels(_walk(config))


def by_panels(found: Iterable[Field]) -> tuple[Field, ...]:
    order = get_args(Panel)
    return tuple(sorted(found, key=lambda field: order.index(field.opt.panel)))


def _walk(config: type, *, path: tuple[str, ...] = (), prefix: str = "", defaults: object = None) -> Iterator[Field]:
    hints = get_type_hints(config, include_extras=True)
    for field in fields(config):
        kind, *said = get_args(hints[field.name])
        default = _default(field) if defaults is None else getattr(defaults, field.name)
        match said[0]:
            case Group() as group:
                within = _walk(kind, path=(*path, field.name), prefix=group.prefix or prefix, defaults=default)
                yield from (found for found in within if group.has(found.name))
            case Opt() as opt:
                bounds = tuple(bound for bound in said if isinstance(bound, Ge | Gt | Le | Lt))
                yield Field(
                    (*path, field.name),
                    opt,
                    *_unwrapped(kind),
                    bounds,
                    None if default is MISSING else default,
                    required=default is MISSING,
                    prefix=prefix,
                )


def _unwrapped(hint: Any) -> tuple[type, tuple[str, ...], bool, bool]:
    """Return kind, choices, whether it may be None, and whether there are many."""
    optional = NoneType in _parts(hint)
    hint = _parts(hint)[0]
    many = get_origin(hint) is tuple
    if many:
        hint = _parts(get_args(hint)[0])[0]
    if get_origin(hint) is Literal:
        return str, get_args(hint), optional, many
    return hint, (), optional, many


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return what a value may be, the first of them as it is set from outside."""
    return get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)


def _default(field: DataclassField[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def built(config: type[C], values: Mapping[tuple[str, ...], Any], *, default: C | None = None) -> C:
    """Make a config of values by their paths; what is not among them is as by default."""
    arguments: dict[str, Any] = {}
    for field in fields(config):  # type: ignore[arg-type]
        inside = {path[1:]: value for path, value in values.items() if path[0] == field.name}
        if () in inside:
            arguments[field.name] = inside[()]
        elif inside:
            inner = _default(field) if default is None else getattr(default, field.name)
            arguments[field.name] = built(type(inner), inside, default=inner)
    return config(**arguments) if default is None else replace(default, **arguments)  # type: ignore[type-var]
