"""Coverage-guided fuzzing of everything that reads a peer's bytes or a peer's files.

`python -m fuzz` runs the targets of `fuzz.targets` under libFuzzer (by Atheris), over Python code and over kernels that
were compiled for it. `tests/fuzz` replays the kept corpus on every target without an engine.
"""
