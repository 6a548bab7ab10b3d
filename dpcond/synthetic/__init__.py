"""What is learned, and how it starts: public initialisations only."""

from dpcond.synthetic.set import Init, SyntheticSet

__all__ = ["Init", "SyntheticSet"]
