"""`python -m adapterd` is the `adapterd` command."""

from adapterd.cli.app import main

if __name__ == "__main__":
    main()
