"""``python -m evaluation.report``."""

from evaluation.report.command import main

if __name__ == "__main__":
    main()
