"""``python -m benchmarks.reliability [CAMPAIGN ...]``: attack the project at random from a seed, and print a table.

Cases run in processes of their own, in temporary folders. ``--out`` keeps a line per case; the same command continues.
The exit status is 1 if a case fails.
"""

import argparse
import platform
import sys
from datetime import date
from pathlib import Path

from agnet.runtime.paths import git_revision
from benchmarks.reliability.corruptions import CORRUPTIONS
from benchmarks.reliability.disks import DISKS
from benchmarks.reliability.frame import GOOD, SKIPPED, run_campaign, table
from benchmarks.reliability.kills import KILLS
from benchmarks.reliability.lines import LINES
from benchmarks.reliability.malicious import MALICIOUS
from benchmarks.reliability.races import RACES
from benchmarks.timing import one_thread
from search.document import insert

CAMPAIGNS = {
    "kills": KILLS,
    "corruptions": CORRUPTIONS,
    "disks": DISKS,
    "malicious": MALICIOUS,
    "lines": LINES,
    "races": RACES,
}


def main() -> None:
    """Run what is asked for, print the table, and write it into a document if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaigns", nargs="*", choices=[*CAMPAIGNS, []], help="all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, help="cases of each campaign; as many as the promise asks for by default")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reliability"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds that a case may take")
    parser.add_argument("--into", type=Path, help="markdown file with the marks: begin: campaign, end: campaign")
    given = parser.parse_args()
    one_thread()
    found = []
    for key in given.campaigns or CAMPAIGNS:
        campaign = CAMPAIGNS[key]
        count = campaign.least if given.cases is None else given.cases
        settings = {"seed": given.seed, "count": count, "out": given.out, "workers": given.workers}
        found.append((campaign, run_campaign(key, campaign, **settings, limit=given.limit)))
    command = f"`python -m benchmarks.reliability --seed {given.seed}`"
    machine = f"{platform.machine()}, {given.workers} processes, Python {platform.python_version()}"
    text = f"{table(found)}\n\n{command}, revision {git_revision()}, {machine}, {date.today()}."
    print(text)
    if given.into is not None:
        insert(given.into, "campaign", text)
    failed = [entry for _, entries in found for entry in entries if entry.kind not in (*GOOD, SKIPPED)]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
