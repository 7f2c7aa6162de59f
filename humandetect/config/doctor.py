"""What `doctor` looks at."""

from dataclasses import dataclass, field
from typing import Annotated

from humandetect.config.engine import DeviceField, ServingConfig
from humandetect.config.fields import Group, check


@dataclass(frozen=True, slots=True)
class DoctorConfig:
    """What `doctor` looks at."""

    device: DeviceField = "auto"
    serving: Annotated[ServingConfig, Group(prefix="serving", only=("targets",))] = field(default_factory=ServingConfig)

    def __post_init__(self) -> None:
        check(self)
