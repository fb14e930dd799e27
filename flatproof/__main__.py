"""`python -m flatproof`: the command line, also from a checkout where nothing is installed."""

from flatproof.verify.cli.main import main

if __name__ == "__main__":
    main()
