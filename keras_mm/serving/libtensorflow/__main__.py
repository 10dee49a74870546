"""`python libtensorflow ...`: the program, run by its folder's path.

Run as a module of keras_mm, it would import keras_mm, and with it tensorflow.
"""

import os
import sys

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    # Python puts the folder on the path; its files are no top-level modules.
    sys.path[0:1] = []
    sys.path.append(os.path.dirname(folder))
    from libtensorflow.command import main

    sys.exit(main())
