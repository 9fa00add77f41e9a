"""Figures beside their goals."""
from dataclasses import dataclass, field
from statistics import median


def mad(samples):
    """Median absolute deviation: a spread that one bad round does not blow up."""
    middle = median(samples)
    return median(abs(sample - middle) for sample in samples)


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

    @property
    def value(self):
        return median(self.samples)

    @property
    def holds(self):
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def as_json(self):
        out = {"name": self.name, "value": round(self.value, 6), "mad": round(mad(self.samples), 6),
               "rounds": len(self.samples), "unit": self.unit}
        if self.goal is not None:
            out.update(goal=self.goal, at_least=self.at_least, holds=self.holds)
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
