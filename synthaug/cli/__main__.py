"""``python -m synthaug.cli`` is ``synthaug``."""

from synthaug.cli.commands import main

if __name__ == "__main__":
    main(prog_name="synthaug")
