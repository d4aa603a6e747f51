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
from artifacts.recipes.parameters import with_defaults

RECIPE = Recipe(
    name="cnn-ensemble",
    document=__doc__,
    family="conv",
    build=cnn.build,
    plan=cnn.plan,
    bfloat16=True,
    parameters=with_defaults(
        cnn.RECIPE.parameters,
        width=32,
        members=2,
        epochs=30,
        # In so many epochs AdamW is as good as Muon, or better, and the images have to vary (docs/log.md).
        optimizer="adamw",
        learning_rate=0.006,
        warmup=0.2,
        weight_decay=0.02,
        shift=1,
        beyond="yes",
        cutout=6,
    ),
)
