"""The study of a zoo of 108 networks (one for each setting of training), which the notebooks 105 and 106 share."""
