"""Nets like `cnn`, twice as wide and trained for much longer, that answer together: when accuracy is worth minutes.

Claim: Fashion-MNIST test 94.54 % ± 0.16; one net of `cnn`'s width (`width=16,members=1,epochs=28`) 93.94 % ± 0.09
(3 seeds each, on validation 95.15 and 94.58; both sides of an image averaged). MNIST test 99.67 % ± 0.02
(`width=16,members=3,epochs=20,shift=2,turn=10,zoom=0.1,cutout=0`, 3 seeds, on validation 99.63).

Cost: on Fashion-MNIST 820 s when left alone (1,650,000 images, for two nets), the single net 144 to 165 s; MNIST 300 s;
compilation and validation included, on two cores with avx512_bf16.

Command: python -m benchmarks.training --rows times --only cnn-ensemble
"""

from artifacts.recipes import cnn
from artifacts.recipes.base import Recipe
from artifacts.recipes.parameters import Choice, Integer, Real

RECIPE = Recipe(
    name="cnn-ensemble",
    document=__doc__,
    family="conv",
    build=cnn.build,
    plan=cnn.plan,
    bfloat16=True,
    parameters={
        "width": Integer(32, 1, 1024, "filters of the first convolution; the others have 3 and 4 times as many"),
        **cnn.TRAINING,
        "members": Integer(2, 1, 16, "nets trained side by side, whose logits are averaged"),
        "epochs": Integer(30, 1, 1000, "passes over the training images"),
        # In so many epochs AdamW is as good as Muon, or better, and the images have to vary (docs/log.md).
        "optimizer": Choice("adamw", ("muon", "adamw"), "the update rule; Muon wants five times the rate"),
        "learning_rate": Real(0.006, 1e-6, 10, "peak of the one-cycle schedule"),
        "warmup": Real(0.2, 0, 1, "share of the steps that rise to the peak"),
        "weight_decay": Real(0.02, 0, 1, "decoupled, times the learning rate"),
        "shift": Integer(1, 0, 8, "largest random shift in pixels, where the images leave room for it"),
        "beyond": Choice("yes", ("no", "yes"), "whether a shift may push light over the edge"),
        "cutout": Integer(6, 0, 64, "side of the square that is blanked in every image, in pixels"),
    },
)
