"""What a test asks of the processor."""

import pytest
from lakerec.language import int8

vnni = pytest.mark.skipif(not int8.adds_up(), reason="a processor without VNNI, which int8 refuses")
