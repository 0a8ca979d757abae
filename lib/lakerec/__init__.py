"""lakerec: the recommender that a data team runs on its own lakehouse."""

import os

__version__ = "0.1.0"

# torch's threads spin while they wait for each other. Where anything else wants the cores, that makes an epoch three to ten
# times as long; asleep they cost 5 % on cores that are idle. Read by OpenMP when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
