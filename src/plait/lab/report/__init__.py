"""The report: a comparison as one HTML file."""

from plait.lab.report.page import render

__all__ = ["render"]
