"""What is learned, and how it starts: public initialisations only."""

from dpcond.synthetic.set import SyntheticSet, bounds_of, tiled

__all__ = ["SyntheticSet", "bounds_of", "tiled"]
