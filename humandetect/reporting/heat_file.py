"""The heatmap as a file, with its scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from humandetect.reporting.axes import said_seconds
from humandetect.reporting.heat_picture import COLOURS, draw_heat

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.analytics.heatmap import Heatmap

DPI = 100
MARGIN_INCHES, LEGEND_INCHES, TITLE_INCHES = 0.4, 1.2, 0.55


def write_heatmap(heatmap: Heatmap, path: Path) -> None:
    """Write it as PNG, a pixel for each of the picture's. The same heatmap gives the same bytes."""
    drawn = draw_heat(heatmap)
    height, width = (side / DPI for side in drawn.image.shape[:2])
    page = width + 2 * MARGIN_INCHES, height + TITLE_INCHES + LEGEND_INCHES
    figure = Figure(figsize=page, dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((MARGIN_INCHES / page[0], LEGEND_INCHES / page[1], width / page[0], height / page[1]))
    axes.imshow(drawn.image[..., ::-1], interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    watched, spent = said_seconds(heatmap.covered_seconds), heatmap.person_seconds
    axes.set_title(f"Where people stood: {spent:,.0f} person-seconds in {watched} watched", loc="left")
    scale = figure.add_axes((MARGIN_INCHES / page[0], 0.75 / page[1], width / page[0], 0.2 / page[1]))
    colours = ScalarMappable(LogNorm(drawn.low, drawn.high), ListedColormap(COLOURS[:, ::-1] / 255))
    figure.colorbar(
        colours, cax=scale, orientation="horizontal", format="%g",
        label="person-seconds at a place; who stands beside it counts by a quarter of their height",
    )  # fmt: skip
    figure.savefig(path, format="png", metadata={"Software": None})
