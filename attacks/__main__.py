"""python -m attacks"""

from attacks.cli import main

if __name__ == "__main__":
    main()
