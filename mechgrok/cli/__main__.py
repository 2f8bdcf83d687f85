"""`python -m mechgrok.cli` is `mechgrok`."""

import sys

from mechgrok.cli import main

sys.exit(main())
