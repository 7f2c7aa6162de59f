"""`python -m humandetect`."""

from humandetect.cli import main

if __name__ == "__main__":
    main()
