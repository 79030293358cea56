"""`python -m lungfish`"""

from lungfish.cli.app import main

if __name__ == "__main__":  # worker processes import this module
    main()
