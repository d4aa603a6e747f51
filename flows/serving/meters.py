"""What a server of champions counts, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1, 2, 4, 8, 16, 32)


class Meters:
    """The counters of one server; each server has its own, so that tests do not share any."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nightshift_requests", "Requests answered.", ("route", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "nightshift_request_seconds", "Seconds per request.", ("route",), registry=self._registry, buckets=SECONDS
        )
        self._images = Counter("nightshift_images", "Images answered.", ("dataset",), registry=self._registry)
        self._batch = Histogram(
            "nightshift_batch_images",
            "Images per call of the model.",
            ("dataset",),
            registry=self._registry,
            buckets=SIZES,
        )
        self._version = Gauge(
            "nightshift_champion_number", "Number of the version that answers.", ("dataset",), registry=self._registry
        )
        self._changes = Counter(
            "nightshift_champion_changes", "Champions taken into memory.", ("dataset",), registry=self._registry
        )
        self._failures = Counter(
            "nightshift_champion_failures", "Champions that could not be loaded.", ("dataset",), registry=self._registry
        )

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, dataset: str, images: int) -> None:
        """Count a call of the model."""
        self._images.labels(dataset).inc(images)
        self._batch.labels(dataset).observe(images)

    def champion(self, dataset: str, version: str) -> None:
        """Record which version answers from now on; "" if another one should, and could not be loaded."""
        if not version:
            self._failures.labels(dataset).inc()
            return
        self._changes.labels(dataset).inc()
        self._version.labels(dataset).set(int(version.rpartition("/")[2]))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
