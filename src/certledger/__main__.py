"""`python -m certledger` is the command line."""

from certledger.cli.main import main

if __name__ == "__main__":
    main()
