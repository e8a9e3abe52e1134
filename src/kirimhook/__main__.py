"""`python -m kirimhook` is the `kirimhook` command."""

from __future__ import annotations

import sys

from kirimhook.cli import main

if __name__ == "__main__":
    sys.exit(main())
