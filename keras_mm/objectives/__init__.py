"""What training minimises."""

from .contrastive import Contrastive
from .matching import Matching
from .objective import Objective
from .reconstruction import Reconstruction
from .supervised import Supervised
