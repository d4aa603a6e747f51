"""The built-in datasets, a row each.

Hashes and sizes were computed from the files themselves, and agree with what TensorFlow Datasets and torchvision
publish. KMNIST could not be fetched when its row was written: it has the published hashes of the
compressed files, which identify it, and no reference statistics yet.
"""

from collections.abc import Sequence

from data.dataset import ROLES, Dataset, SourceFile
from data.references import REFERENCES

NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
RAW_BYTES = (
    47_040_016,
    60_008,
    7_840_016,
    10_008,
)  # 16 + 784 n and 8 + n: the same for MNIST, Fashion-MNIST and KMNIST


def _files(
    served: Sequence[tuple[str, int]],
    raw_sha256: Sequence[str | None],
    raw_bytes: Sequence[int] = RAW_BYTES,
) -> dict[str, SourceFile]:
    return {
        role: SourceFile(name, sha256, size, raw, n)
        for role, name, (sha256, size), raw, n in zip(ROLES, NAMES, served, raw_sha256, raw_bytes, strict=True)
    }


MNIST = Dataset(
    name="mnist",
    title="MNIST",
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "http://yann.lecun.com/exdb/mnist",  # the original; has answered 403 since the middle of 2024
    ),
    files=_files(
        (
            ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
            ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
            ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
            ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
        ),
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    height=28,
    width=28,
    n_train=60_000,
    n_test=10_000,
    class_names=tuple("0123456789"),
    licence="CC BY-SA 3.0",
    citation="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86(11), 1998",
    mirror_symmetric=False,
    reference=REFERENCES.get("mnist"),
)

FASHION_MNIST = Dataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    files=_files(
        (
            ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
            ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
            ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
            ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
        ),
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    height=28,
    width=28,
    n_train=60_000,
    n_test=10_000,
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    licence="MIT",
    citation="Xiao, Rasul, Vollgraf: Fashion-MNIST: a novel image dataset for benchmarking machine learning. "
    "arXiv:1708.07747, 2017",
    mirror_symmetric=True,
    reference=REFERENCES.get("fashion-mnist"),
)

KMNIST = Dataset(
    name="kmnist",
    title="KMNIST",
    mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist",),  # http only, in every source
    files=_files(
        (
            ("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", 18_165_135),
            ("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17", 29_497),
            ("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5", 3_041_136),
            ("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c", 5_120),
        ),
        (None, None, None, None),
    ),
    height=28,
    width=28,
    n_train=60_000,
    n_test=10_000,
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    licence="CC BY-SA 4.0",
    citation="Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto, Ha: Deep learning for classical Japanese literature. "
    "arXiv:1812.01718, 2018",
    mirror_symmetric=False,
    reference=REFERENCES.get("kmnist"),
)

MNIST_SAMPLE = Dataset(
    name="mnist-sample",
    title="MNIST sample",
    mirrors=("samples/mnist-sample",),  # ships with this package; chosen by benchmarks/make_sample.py
    files=_files(
        (
            ("c231c2c2f458348e59f66e7c3685d01b4425d7fe2d346a61d804f6b2aba3c1e4", 322_488),
            ("f45d550f2a42716077c535a72c3c352fa14b291101c4f0bc649ac75acf420f4d", 1_041),
            ("7f540ef39b1dfac144ba216d5bda69211211a6847caab5b39171c0deca8dea53", 79_402),
            ("c9088190ac7915a1132233b51fa637729a19bd080690f5d958a51b12ab257b3d", 278),
        ),
        (
            "616956542b4a3b8da541c9281f21f39d2b2240d460f0e390dc2f8cb1b71af41f",
            "e7d833abc1ff8bc6056af2e7a5e78168aa9b57540cb7ee51ddea385cc1f79a14",
            "0e6bc7f52371927fa675d0935d10115d8860f6d2059edb3da8505c2a60e6171c",
            "9abca8b9992f81fb3853557a6e96c4ceaec4a75e0164b60bcb2a7050d6d6df91",
        ),
        (1_568_016, 2_008, 392_016, 508),
    ),
    height=28,
    width=28,
    n_train=2_000,
    n_test=500,
    class_names=MNIST.class_names,
    licence=MNIST.licence,
    citation=MNIST.citation,
    mirror_symmetric=False,
    reference=REFERENCES.get("mnist-sample"),
)

DATASETS = {row.name: row for row in (MNIST, FASHION_MNIST, KMNIST, MNIST_SAMPLE)}
