"""lakerec: the recommender that a data team runs on its own lakehouse."""

import os

__version__ = "0.1.0"

# torch's threads spin while they wait for each other. Where anything else wants the cores, that makes an epoch several times
# as long. A thirtieth of the usual spinning costs 4 % on idle cores, and halves the time beside other work (all asleep, by
# OMP_WAIT_POLICY=PASSIVE, costs 16 %). GNU's OpenMP reads it when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
