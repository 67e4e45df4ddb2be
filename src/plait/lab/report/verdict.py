"""The verdict: one sentence for each network, with its interval, its condition and the noise beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plait.lab.report.markup import Markup, join, tag
from plait.lab.verdicts import Finding, Verdict

__all__ = ["card", "summary"]

_SIGNS = {
    Verdict.FASTER: "M3 13L9 3l6 10z",
    Verdict.SLOWER: "M3 5L9 15l6-10z",
    Verdict.SAME: "M2 5h14v3H2zM2 10h14v3H2z",
    Verdict.OPEN: "M2 7.5h3v3H2zM7.5 7.5h3v3h-3zM13 7.5h3v3h-3z",
}
"""A shape for each verdict: up, down, equal, and dots for what is open."""


def card(
    heading: str,
    condition: str,
    primary: Finding | None,
    title: Callable[[str], str],
    others: Sequence[Markup],
    noise: str,
    warnings: Sequence[str],
) -> Markup:
    """Write what was found on one network.

    Args:
        heading: What the network is called.
        condition: What it is like.
        primary: The answer to the main question; None when it was not measured.
        title: Names a contender for people.
        others: Further findings, a sentence each.
        noise: The noise floor, in a sentence.
        warnings: What to hold against the figures.
    """
    body = tag(
        "div",
        tag("div", _headline(primary, title)),
        tag("p", tag("b", "Noise floor"), noise, class_="noise"),
        class_="card-body",
    )
    more = tag("details", tag("summary", "Every comparison"), tag("ul", *(tag("li", one) for one in others)))
    return tag(
        "article",
        tag("h3", heading),
        tag("p", condition, class_="condition"),
        body,
        tag("ul", *(tag("li", one) for one in warnings), class_="warnings") if warnings else None,
        more if others else None,
        class_="card",
    )


def _headline(primary: Finding | None, title: Callable[[str], str]) -> Markup:
    if primary is None:
        return tag("p", "The main question was not measured here.", class_="sentence")
    verdict = primary.verdict
    if verdict is Verdict.FASTER:
        figure: str | None = f"{_factor(1 / primary.ratio)}×"
    elif verdict is Verdict.SLOWER:
        figure = f"{_factor(primary.ratio)}×"
    else:
        figure = None
    return join(
        [
            tag(
                "p",
                sign(verdict),
                tag("span", figure, class_="figure") if figure else None,
                tag("span", str(verdict), class_="word"),
                class_=f"headline {verdict.name.lower()}",
            ),
            tag("p", primary.sentence(title), class_="sentence"),
        ]
    )


def _factor(value: float) -> str:
    # 1.06 times is not to be read as 1.1.
    digits = 2 if value < 1.995 else 1 if value < 9.95 else 0
    return f"{value:.{digits}f}"


def sign(verdict: Verdict) -> Markup:
    """Draw a verdict's shape, which says the same as its colour."""
    drawn = tag("path", d=_SIGNS[verdict])
    return tag("svg", drawn, class_="sign", viewBox="0 0 18 18", width=18, height=18, aria_hidden="true")


def summary(findings: Sequence[Finding | None]) -> Markup:
    """Count the verdicts of a sweep, with the reasons why there is none."""
    items = []
    for verdict in Verdict:
        if found := [one for one in findings if one and one.verdict is verdict]:
            reasons = "; ".join(dict.fromkeys(one.reason for one in found if one.reason))
            words = f" of {len(findings)} networks: {verdict}" + (f" ({reasons})" if reasons else "")
            # In one element, because pieces of an item stand apart.
            counted = tag("span", tag("b", str(len(found))), words)
            items.append(tag("li", sign(verdict), counted, class_=verdict.name.lower()))
    return tag("ul", *items, class_="tally")
