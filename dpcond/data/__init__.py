"""Sources of private records, and what is declared public about them."""

from dpcond.data.loading import data_root, describe_spec, load
from dpcond.data.records import Data, Records
from dpcond.data.registry import SOURCES, describe

__all__ = ["SOURCES", "Data", "Records", "data_root", "describe", "describe_spec", "load"]
