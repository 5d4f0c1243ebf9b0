"""Makes `python -m pipeline` the same as `distill`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
