"""The compiled training loop and what runs inside it: data feed, augmentation, schedules, optimizers."""
