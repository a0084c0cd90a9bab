"""An independent, slow implementation of every step: plain Python integers and bytes, one module a concept.

It imports the standard library and nothing else: no kernel, no numpy, nothing of the product. It decides nothing about
safety (no constant time, no erasure) and is read beside `docs/reference/wire`.
"""
