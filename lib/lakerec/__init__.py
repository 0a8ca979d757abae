"""lakerec: the recommender that a data team runs on its own lakehouse."""

__version__ = "0.1.0"
