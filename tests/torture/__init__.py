"""Owns fault injection: the command line under kills, failing system calls, damaged files, edited stores, wild clocks and odd options.

    python -m tests.torture --help

Each case is determined by a seed, a scenario's name and a number, and by nothing that other cases did. `make torture` is the nightly
run, `test_torture.py` a short one, and the test that the harness notices what is planted.
"""
