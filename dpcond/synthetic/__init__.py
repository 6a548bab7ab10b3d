"""What is learned, and how it starts: public initialisations only."""

from dpcond.synthetic.set import Init, SyntheticSet, bounds_of

__all__ = ["Init", "SyntheticSet", "bounds_of"]
