"""``python -m bench`` is ``rl-or-bc``."""

import sys

from bench.cli import main

sys.exit(main())
