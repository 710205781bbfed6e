"""`python -m lastbit`, where the command itself is not on PATH."""

from lastbit.cli.main import main

main()
