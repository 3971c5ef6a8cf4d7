"""The shape of a loss around a trained minimum: train it, jump away from it and retrain, record, embed."""
