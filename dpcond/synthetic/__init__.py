"""What is learned, and how it starts: public initialisations only."""

from dpcond.synthetic.set import Init, SyntheticSet, bounds_of, tiled

__all__ = ["Init", "SyntheticSet", "bounds_of", "tiled"]
