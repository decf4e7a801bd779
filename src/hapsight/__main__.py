"""``python -m hapsight``."""

from hapsight.cli.main import main

if __name__ == "__main__":
    main()
