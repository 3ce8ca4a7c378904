"""What the ways out have in common (attack.py)."""
PATIENCE = 3
PROXY = ("127.0.0.1", 3128)
WORLD = "93.184.216."
ACTS = {}


def act(run):
    ACTS[run.__name__.replace("_", "-")] = run
    return run
