"""`python -m scalinglens`: the same as the command `scalinglens`."""

import sys

from scalinglens.cli.main import main

sys.exit(main())
