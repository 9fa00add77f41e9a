"""Figures beside their goals."""
from dataclasses import dataclass, field
from statistics import median


def mad(samples):
    """Median absolute deviation: a spread that one bad round does not blow up."""
    middle = median(samples)
    return median(abs(sample - middle) for sample in samples)


def error_of_median(samples):
    """Half of the 95 % interval of the median, of samples that are normal but for outliers."""
    return 1.96 * 1.2533 * 1.4826 * mad(samples) / len(samples) ** 0.5


@dataclass
class Figure:
    name: str          # Stable: a key of history.ndjson.
    title: str
    samples: list      # One per round.
    goal: float = None
    at_least: bool = True   # Else: at most.
    unit: str = ""
    note: str = ""
    details: dict = field(default_factory=dict)
    within_error: bool = False  # What the samples can't tell from the goal holds, too: for goals that say "not worse than".

    @property
    def value(self):
        return median(self.samples)

    @property
    def holds(self):
        if self.goal is None:
            return True
        slack = error_of_median(self.samples) if self.within_error else 0
        return self.value >= self.goal - slack if self.at_least else self.value <= self.goal + slack

    def as_json(self):
        out = {"name": self.name, "value": round(self.value, 6), "mad": round(mad(self.samples), 6),
               "rounds": len(self.samples), "unit": self.unit}
        if self.goal is not None:
            out.update(goal=self.goal, at_least=self.at_least, holds=self.holds)
        if self.within_error:
            out["error"] = round(error_of_median(self.samples), 6)
        if self.details:
            out["details"] = self.details
        return out

    def as_row(self):
        mark = " " if self.goal is None else "✓" if self.holds else "✗"
        goal = "" if self.goal is None else f"{'>=' if self.at_least else '<='} {number(self.goal)}"
        spread = f"±{number(mad(self.samples))}"
        return f"{mark} {self.title:<82} {goal:>8} {number(self.value):>8} {spread:<8} {self.unit:<5} {self.note}"


def number(value):
    if value == 0 or 0.01 <= abs(value) < 10000:
        return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 100 else f"{value:.0f}"
    return f"{value:.3g}"


def table(figures):
    header = f"  {'measure':<82} {'goal':>8} {'figure':>8}"
    return "\n".join([header, *(figure.as_row() for figure in figures)])
