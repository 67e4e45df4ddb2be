"""Conditions for automation: ``h2 slower than h1x6 by 5% on 4g``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plait.errors import ConfigError, PlaitError
from plait.lab.analysis import analyse
from plait.lab.changes import Change, changes_of, is_on
from plait.lab.network.profile import Network
from plait.lab.record import Record
from plait.lab.verdicts import Verdict, adjusted, judge, log_ratios

__all__ = ["Condition"]

BEFORE = "before"
"""In place of a reference: the same contender in the earlier of two runs."""

_VERDICTS = {str(verdict): verdict for verdict in (Verdict.SLOWER, Verdict.FASTER)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that a record may say of two contenders, or of one in two runs.

    Attributes:
        text: As it was given.
        contender: By name.
        verdict: ``faster`` or ``slower``.
        reference: By name, or ``before``.
        by: By more than that share; None for the record's margin.
        network: On which, by name or specification; None for any.
    """

    text: str
    contender: str
    verdict: Verdict
    reference: str
    by: float | None
    network: str | None

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read ``NAME slower|faster than NAME|before [by N%] [on NETWORK]``.

        Raises:
            ConfigError: It is not one; the message quotes the part that is wrong.
        """
        words = text.split()
        contender = _take(text, words, "the name of a contender")
        verdict = _take(text, words, "'slower' or 'faster'")
        if verdict not in _VERDICTS:
            raise _wrong(text, f"{verdict!r} is neither 'slower' nor 'faster'")
        than = _take(text, words, "'than'")
        if than != "than":
            raise _wrong(text, f"{than!r} stands where 'than' belongs")
        reference = _take(text, words, "the name of a contender, or 'before'")
        if reference == contender:
            raise _wrong(text, f"{reference!r} is compared with itself; 'before' is it in an earlier run")
        by = network = None
        if words and words[0] == "by":
            words.pop(0)
            by = _share(text, words)
        if words and words[0] == "on":
            words.pop(0)
            network = _take(text, words, "the name of a network")
        if words:
            raise _wrong(
                text,
                f"{words[0]!r} is more than a condition has: NAME slower|faster than NAME "
                "[by N%] [on NETWORK]",
            )
        return cls(
            text=text,
            contender=contender,
            verdict=_VERDICTS[verdict],
            reference=reference,
            by=by,
            network=network,
        )

    def check(self, contenders: Sequence[str], networks: Sequence[Network | None], *, twice: bool) -> None:
        """See to it that there will be something to judge.

        Args:
            contenders: Who takes part.
            networks: On which networks.
            twice: Whether there is an earlier run.

        Raises:
            ConfigError: The condition is about something that is not measured.
        """
        if self.reference == BEFORE and not twice:
            raise _wrong(self.text, "'before' takes two runs to compare")
        for name in (self.contender, self.reference):
            if name not in contenders and name != BEFORE:
                raise _wrong(self.text, f"{name!r} was not measured; there are {', '.join(contenders)}")
        if not any(is_on(network, self.network) for network in networks):
            known = ", ".join(network.name for network in networks if network)
            raise _wrong(self.text, f"nothing was measured on {self.network!r}, only on {known or 'none'}")

    def holds(self, record: Record, before: Record | None = None) -> str | None:
        """Say whether and why this is so: only if the whole interval lies beyond the threshold.

        On several networks all intervals hold together, as verdicts do. A cell whose verdicts are refused
        fulfils no condition.

        Args:
            record: What was measured.
            before: An earlier run, for conditions that compare with it.

        Returns:
            A sentence, or None when it is not so, or not known to be.

        Raises:
            ConfigError: The condition is about something that was not measured.
            PlaitError: What it is about failed in every run.
        """
        names = [one.name for one in record.contenders]
        self.check(names, [cell.network for cell in record.cells], twice=before is not None)
        margin = record.margin if self.by is None else self.by
        if self.reference == BEFORE and before is not None:
            found = changes_of(before, record, [self.contender], margin=margin, network=self.network)
        else:
            found = self._within(record, margin)
        if not found:
            raise PlaitError(f'"{self.text}" cannot be judged: there are no runs of both to compare')
        held = [
            (f"on {one.network.name}, " if one.network else "") + one.finding.sentence(record.title)
            for one in found
            if one.finding.verdict is self.verdict
        ]
        return f'"{self.text}" is so: {" ".join(held)}' if held else None

    def _within(self, record: Record, margin: float) -> list[Change]:
        cells = [
            (one, ratios)
            for one in analyse(record).cells
            if is_on(one.cell.network, self.network)
            and (ratios := log_ratios(one.cell, self.contender, self.reference))
        ]
        family = [[] if one.refusal else ratios for one, ratios in cells]
        levels = adjusted(family, margin=margin, confidence=record.confidence)
        found = []
        for (one, ratios), level in zip(cells, levels, strict=True):
            finding = judge(
                ratios, contender=self.contender, reference=self.reference, margin=margin, confidence=level
            )
            refused = finding.refused(one.refusal) if one.refusal else finding
            found.append(Change(network=one.cell.network, finding=refused))
        return found


def _share(text: str, words: list[str]) -> float:
    given = _take(text, words, "a percentage, such as 5%")
    if words and words[0] == "%":
        given += words.pop(0)
    number = given.removesuffix("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = math.nan
    if number == given or not 0 <= share < math.inf:
        raise _wrong(text, f"{given!r} is not a percentage, such as 5%")
    return share


def _take(text: str, words: list[str], expected: str) -> str:
    if not words:
        raise _wrong(text, f"{expected} is missing at the end")
    return words.pop(0)


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f'--fail-if "{text}": {why}')
