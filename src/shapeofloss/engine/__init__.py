"""What computes a thing once and finds it again: keys, the store, processes, clusters, compilers, places."""
