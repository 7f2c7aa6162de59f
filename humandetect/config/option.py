"""One value of a config: what it is called, what it may be, and how it is read from text."""

import re
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from humandetect.addresses import OBJECT_STORES, is_object_store, path_of, without_secrets
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Panel = Literal[
    "Input", "Output", "Detection", "Counting", "Server", "Load", "Limits", "Checks", "Messages", "TensorFlow Serving"
]
"""The groups of a command's help, in their order."""

BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Opt:
    """What a field is called outside Python, and what people are told of it."""

    help: str
    panel: Panel
    _: KW_ONLY
    names: tuple[str, ...] = ()
    """None: the field's own name; the unit in `_seconds` is left out, and such a value may be H:MM:SS or 5m."""
    metavar: str = ""
    unset: str = ""
    """What None or an empty tuple means, in words."""
    auto: bool = False
    """Whether the word `auto` stands for None."""
    variable: str | None = ""
    """Its environment variable; empty: made of the option's name; None: there is none."""
    secret: bool = False
    """Shown nowhere; such a field is left out of `repr`, too."""
    argument: bool = False
    """Given by its place on the command line, and nowhere else."""
    hidden: bool = False
    needs: tuple[str, ...] = ()
    """Fields beside it of which one must be set, where the command has them: else it means nothing."""
    not_with: tuple[str, ...] = ()
    """Fields beside it with which, once they are set, it means nothing."""
    object_stores: bool = False
    """A path may also be an address in an object store, and stays text then."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a command's config, also in the configs within it."""

    path: tuple[str, ...]
    opt: Opt
    kind: type
    """bool, int, float, str or Path; of each item, where there are `many`."""
    choices: tuple[str, ...]
    optional: bool
    many: bool
    bounds: tuple[Ge | Gt | Le | Lt, ...]
    default: Any
    _: KW_ONLY
    required: bool
    """Whether a value must be given, because there is no default."""
    prefix: str

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def is_time(self) -> bool:
        return self.name.endswith("_seconds")

    @property
    def names(self) -> tuple[str, ...]:
        """Names on the command line, the long one first; an argument has none."""
        if self.opt.argument:
            return ()
        words = filter(None, (self.prefix, self.name.removesuffix("_seconds").replace("_", "-")))
        return self.opt.names or (f"--{'-'.join(words)}",)

    @property
    def shared(self) -> bool:
        """Whether it means the same in all commands that have it, so that `[defaults]` may hold it."""
        return self.opt.variable == "" and not self.opt.argument

    @property
    def variable(self) -> str | None:
        """Name of the environment variable."""
        if not self.shared:
            return f"HUMANDETECT_{self.opt.variable}" if self.opt.variable else None
        return f"HUMANDETECT_{self.names[0].removeprefix('--').replace('-', '_').upper()}"

    @property
    def key(self) -> tuple[str, ...]:
        """Where it stands in the command's table in humandetect.toml; empty: it cannot stand there."""
        if self.opt.argument:
            return ()
        option = self.names[0].removeprefix("--")
        if not self.prefix:
            return (option,)
        return (self.prefix, self.name if option == self.prefix else option.removeprefix(f"{self.prefix}-"))

    @property
    def range(self) -> str:
        """The bounds as an interval, `1..1024`; empty where there are none."""
        limits = {end: f"{getattr(bound, end)}" for bound in self.bounds for end in bound.__slots__}
        low, high = limits.get("ge", limits.get("gt", "")), limits.get("le", limits.get("lt", ""))
        return f"{low}..{high}" if limits else ""

    @property
    def metavar(self) -> str:
        """What stands for the value in help."""
        if self.kind is bool:
            return ""
        kinds: Mapping[type, str] = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
        kind = "TIME" if self.is_time else self.range or kinds[self.kind]
        return self.opt.metavar or "|".join(self.choices) or (f"{kind}|auto" if self.opt.auto else kind)

    @property
    def default_text(self) -> str:
        """The default in words; empty where it goes without saying, or where a value must be given."""
        if self.opt.unset or self.default in (None, False, ()):
            return self.opt.unset
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def expected(self) -> str:
        """What a value must be, as error messages say it."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kinds: Mapping[type, str] = {
            bool: "yes or no (or true, false, on, off, 1, 0)",
            int: "a whole number",
            float: "seconds, H:MM:SS or a time such as 5m" if self.is_time else "a number",
            str: "text",
            Path: "a path",
        }
        kind = f"auto or {kinds[self.kind]}" if self.opt.auto else kinds[self.kind]
        limits = " and ".join(_LIMITS[type(bound)].format(bound) for bound in self.bounds)
        return f"{kind}, {limits}" if limits else kind

    def adopt(self, value: Any, name: str) -> Any:
        """Return the value that text, a list of texts, or a value of TOML stands for.

        Raises UsageError, which calls the field by the given name.
        """
        if not self.many:
            return self._adopted(value, name)
        return tuple(self._adopted(one, name) for one in (value if isinstance(value, list) else [value]))

    def check(self, value: Any, name: str) -> None:
        """Raise UsageError, which calls the field by the given name, unless it can have this value."""
        if value is None and self.optional:
            return
        if not self.many:
            self._check_one(value, name)
        elif not isinstance(value, tuple | list):
            raise UsageError(f"{name} must be a tuple, even if there is one, got {self._shown(value)}")
        else:
            for one in value:
                self._check_one(one, name)

    def _adopted(self, value: Any, name: str) -> Any:
        if self.opt.auto and value == "auto":
            return None
        if isinstance(value, str):
            try:
                value = self._parsed(value)
            except (ValueError, KeyError):
                raise self._refusal(value, name) from None
        self._check_one(value, name)
        return value

    def _check_one(self, value: Any, name: str) -> None:
        kinds: Mapping[type, Any] = {int: Integral, float: Real, Path: str | Path}
        fits = isinstance(value, kinds.get(self.kind, self.kind)) and isinstance(value, bool) == (self.kind is bool)
        fits = fits and not (self.kind is Path and value == "")
        if not fits or (self.choices and value not in self.choices) or not all(_holds(b, value) for b in self.bounds):
            raise self._refusal(value, name)

    def _refusal(self, value: object, name: str) -> UsageError:
        return UsageError(f"{name} must be {self.expected}, got {self._shown(value)}")

    def _shown(self, value: object) -> str:
        return "something else" if self.opt.secret else f"{without_secrets(repr(value)):.80}"

    def _parsed(self, text: str) -> Any:
        if self.kind is bool:
            return BOOLEANS[text.strip().lower()]
        return seconds(text) if self.is_time else self.to_path(text) if self.kind is Path else self.kind(text)

    def to_path(self, value: str | Path) -> str | Path:
        """Return a path, or the address that is meant instead. Raises UsageError for one that cannot be."""
        if value == "":  # as of a variable of a shell that was never set: refused, as a path it would be this folder
            return value
        if not self.opt.object_stores or "://" not in str(value):
            return Path(value)
        if path := path_of(str(value)):
            return Path(path)
        require(
            is_object_store(value),
            f"{self._shown(value)} is neither a path nor like s3://BUCKET/PATH (known are {OBJECT_STORES})",
        )
        return value


_LIMITS = {Ge: "at least {0.ge}", Gt: "over {0.gt}", Le: "at most {0.le}", Lt: "below {0.lt}"}


def _holds(bound: Any, value: Any) -> bool:
    match bound:
        case Ge(ge=limit):
            return bool(value >= limit)
        case Gt(gt=limit):
            return bool(value > limit)
        case Le(le=limit):
            return bool(value <= limit)
        case _:
            return bool(value < bound.lt)


UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds(text: str) -> float:
    """Read `90`, `1:30`, `1:02:03.5` or `1.5m`. Raises ValueError."""
    if ":" not in text:
        unit = UNIT_SECONDS.get(text.strip()[-1:])
        return float(text.strip()[:-1]) * unit if unit else float(text)
    if not re.fullmatch(r"(\d+:[0-5]?\d|\d+):[0-5]?\d(\.\d+)?", text):
        raise ValueError(text)
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def require(met: bool, message: str) -> None:
    """Raise UsageError with the message unless the condition is met."""
    if not met:
        raise UsageError(message)
