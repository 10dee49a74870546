"""`python libtensorflow ...`: the program, started by its folder.

Started as a part of keras_mm, it would import keras_mm, and with it tensorflow.
"""

import os
import sys

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    # Python looks into the folder itself, whose files are no modules of their own.
    sys.path[0:1] = []
    sys.path.append(os.path.dirname(folder))
    from libtensorflow.command import main

    sys.exit(main())
