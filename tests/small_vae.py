"""The small model of images that the tests of its rates and of its bytes share."""

MODEL = {"channels": 8, "latent": 3}
LOSS = {"squared": 1.0, "directional": 0.0, "sharpness": 9.6}
SCHEDULE = {"batch": 4, "steps": 60, "learning_rate": 0.005}
TRAINING = {
    "seed": 0,
    "names": ["coffee"],
    "side": 16,
    "network": MODEL,
    "loss": LOSS,
    "schedule": SCHEDULE,
    "weights": [16.0, 1024.0],
}
