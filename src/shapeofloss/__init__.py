"""The Shape of Loss: a reproducible companion to four sources on the geometry of losses.

Importing the package is quick and loads neither torch nor matplotlib: a notebook imports the modules it uses.
"""

__version__ = "0.1.0"
