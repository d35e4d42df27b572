"""Make the picture of the README: Besiroglu et al.'s 240 runs, the law fitted to them, and how far it can be trusted."""

from __future__ import annotations

from pathlib import Path

import scalinglens as sl
from benchmarks.methods import table

PICTURE = Path(__file__).parents[1] / "docs" / "fit.png"


def main() -> None:
    runs = sl.read_runs(table(), where="loss < 3.44")
    PICTURE.parent.mkdir(exist_ok=True)
    sl.fit(runs, "hoffmann2022", boot=1000).plot(PICTURE)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
