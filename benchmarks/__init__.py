"""Benchmarks: what a join costs, step by step, and beside the peers. Run as modules from the root of the repository."""
