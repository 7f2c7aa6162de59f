"""What `doctor` looks at."""

from dataclasses import dataclass

from humandetect.config.engine import DeviceField
from humandetect.config.fields import check


@dataclass(frozen=True, slots=True)
class DoctorConfig:
    """What `doctor` looks at."""

    device: DeviceField = "auto"

    def __post_init__(self) -> None:
        check(self)
