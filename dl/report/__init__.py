"""The report of a run: one self-contained HTML page, made from what lies in its workdir, without JAX or the dataset."""

from dl.report import artifacts, comparison
from dl.report.run_page import write

__all__ = ["artifacts", "comparison", "write"]
