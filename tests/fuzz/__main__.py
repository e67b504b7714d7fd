"""Send hostile pictures and malformed requests to a tiny checkpoint, and print what came of it."""

import argparse
import sys
import time

from dermsim.serve.page_server import prepare


def tiny_engine():
    """Fit everything around random weights on drawn lesions."""
    import torch

    from dermsim.data.splits import grouped_splits
    from dermsim.data.synthetic import synthetic_ham10000
    from dermsim.engine import DermSim
    from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel

    splits = grouped_splits(synthetic_ham10000(140, seed=0))
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = DermSimModel(DermSimConfig(backbone="test_resnet", embed_dim=16, image_size=64))
    side = {"height": 64, "width": 64}
    processor = DermSimImageProcessor(size={"shortest_edge": 64}, crop_size=side)
    return DermSim.fit(model, processor, train=splits["train"], validation=splits["validation"])


def main() -> int:
    """Run, print, and return 1 when the server was at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--tables", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="checkpoint folder to ask in place of the tiny one")
    options = parser.parse_args()
    prepare()  # memory is watched, so it is kept as a server keeps it
    from dermsim.engine import DermSim
    from fuzz.running import send_pictures, send_requests
    from fuzz.tables import read_tables

    engine = DermSim.from_pretrained(options.model) if options.model else tiny_engine()
    faults = 0
    plans = (
        (send_pictures, options.pictures),
        (send_requests, options.requests),
        (read_tables, options.tables),
    )
    for send, count in plans:
        if count < 1:
            continue
        started = time.monotonic()
        tally = send(engine, count, seed=options.seed)
        faults += len(tally.faults)
        start, warm, end = tally.memory
        print(f"{send.__name__}: {tally.statuses.total():,} in {time.monotonic() - started:.0f} s")
        statuses = dict(sorted(tally.statuses.items(), key=str))
        print(f"  statuses {statuses}, faults {len(tally.faults)}")
        print(f"  memory {start:.0f} MB, {warm:.0f} warmed up, {end:.0f} ({tally.growth:+.1%})")
        for fault in tally.faults[:20]:
            print("  FAULT", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
