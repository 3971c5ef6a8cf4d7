"""What a single notebook computes and nothing else uses: one room for each notebook, named after it.

Experiments call the library; the library never calls them, and no experiment calls another.
"""
