"""Slow, plain counterparts of the kernels: what a kernel must return bit for bit."""
