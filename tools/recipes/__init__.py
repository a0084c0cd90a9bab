"""How each file of known answers is made: inputs that are written here, answers from `tools.slow`."""
