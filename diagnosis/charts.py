"""Line charts as plain geometry: points in, places on a drawing of 320 × 250 units out. A template draws them."""

from dataclasses import dataclass, field

from diagnosis.numbers import written

Point = tuple[float, float]

WIDTH, HEIGHT = 320, 250
LEFT, TOP, RIGHT, BOTTOM = 54, 10, 10, 42
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

# A line that is no measurement: what chance, or perfect calibration, would give.
GUIDE = "guide"


@dataclass(frozen=True)
class Line:
    """A named line through `points`, (x, y) in the units of the axes; `style` is a name that the style sheet knows."""

    name: str
    points: list[Point]
    style: str
    has_dots: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart with everything that a reader who does not see it needs: a description, and its numbers as a table.

    x runs from 0 to `x_max`, y from 0 to 1. `rows` are the cells of the table, `columns` their titles.
    """

    slug: str
    title: str
    description: str
    x_label: str
    y_label: str
    lines: list[Line]
    columns: list[str]
    rows: list[list[str]]
    x_max: float = 1.0
    width: int = field(default=WIDTH, init=False)
    height: int = field(default=HEIGHT, init=False)

    @property
    def frame(self) -> dict[str, float]:
        """Give the edges and the middle of the plot on the drawing."""
        return {
            "left": LEFT,
            "top": TOP,
            "right": LEFT + PLOT_WIDTH,
            "bottom": TOP + PLOT_HEIGHT,
            "middle_x": LEFT + PLOT_WIDTH / 2,
            "middle_y": TOP + PLOT_HEIGHT / 2,
        }

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Give (place, text) for each mark of the x axis."""
        step = 0.5 if self.x_max > 1 else 0.25
        return [(self._place((step * i, 0))[0], written(step * i, "g")) for i in range(int(self.x_max / step) + 1)]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Give (place, text) for each mark of the y axis."""
        return [(self._place((0, i / 4))[1], written(i / 4, "g")) for i in range(5)]

    @property
    def drawn(self) -> list[dict]:
        """Give each line with its "path" for a polyline and its "dots", in units of the drawing."""
        return [
            {
                "line": line,
                "path": " ".join("{:.1f},{:.1f}".format(*self._place(point)) for point in line.points),
                "dots": [self._place(point) for point in line.points] if line.has_dots else [],
            }
            for line in self.lines
        ]

    def _place(self, point: Point) -> Point:
        x, y = point
        return round(LEFT + PLOT_WIDTH * x / self.x_max, 1), round(TOP + PLOT_HEIGHT * (1 - y), 1)
