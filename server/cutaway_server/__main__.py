"""``python -m cutaway_server``: the same as ``cutaway serve``."""

from cutaway_server.serve import main

if __name__ == "__main__":
    main(prog="python -m cutaway_server")
