"""The ways to run one trained network that are compared; each runs in a process of its own, see process.py."""
