"""`python -m aue_crl_core`: the command line."""

from aue_crl_core.cli.main import main

main()
