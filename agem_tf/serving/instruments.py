"""Metrics of the service, in the format of Prometheus."""

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

from agem_tf.serving.served_index import ServedIndex

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Instruments:
    """Counters, gauges and histograms of one service."""

    def __init__(self):
        self._registry = prometheus_client.CollectorRegistry()
        self._requests = Counter(
            "agem_tf_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "agem_tf_request_seconds",
            "Seconds from the headers of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch_sizes = Histogram(
            "agem_tf_batch_photos",
            "Photos per batch of the model.",
            buckets=_SIZES,
            registry=self._registry,
        )
        self._batch_seconds = Histogram(
            "agem_tf_batch_seconds",
            "Seconds per batch of the model.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "agem_tf_requests_in_flight",
            "Requests that are being answered.",
            registry=self._registry,
        )

    def watch(self, index: ServedIndex) -> None:
        """Adds what is read from the index when the metrics are asked for."""
        photos = Gauge(
            "agem_tf_photos", "Photos of the index.", registry=self._registry
        )
        photos.set_function(lambda: len(index.state))
        waiting = Gauge(
            "agem_tf_photos_waiting",
            "Photos that wait for the model.",
            registry=self._registry,
        )
        waiting.set_function(
            lambda: index.state.model.waiting if index.state.model else 0
        )

    def observe_request(
        self, method: str, route: str, status: int, seconds: float
    ) -> None:
        """Counts an answered request; `route` is its pattern, not its path."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def observe_batch(self, size: int, seconds: float) -> None:
        """Counts a batch of the model."""
        self._batch_sizes.observe(size)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Returns the metrics as Prometheus reads them."""
        return prometheus_client.generate_latest(self._registry)
