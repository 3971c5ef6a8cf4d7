"""The command line of the suite: `python -m benchmarks [NAME ...]` in the checkout."""

import sys

from benchmarks import suite
from shapeofloss.errors import UserError

try:
    results = suite.run(sys.argv[1:])
except UserError as error:
    sys.exit(f"benchmarks: {error}")
for result in results:
    print(f"{result.name}: {result.ratio} of {result.baseline} (spread {result.spread}, {result.threads} thread)")
