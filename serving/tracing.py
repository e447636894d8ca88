"""OpenTelemetry spans, where an endpoint is configured; nothing of it is imported otherwise (extra ``otel``)."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import InputError
from serving.asgi import Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

__all__ = ["Tracing", "carried", "open_tracing", "span"]

_T = TypeVar("_T")
_tracer: contextvars.ContextVar[Any] = contextvars.ContextVar("margincast-tracer", default=None)
_OFF: AbstractContextManager[None] = nullcontext()


class Tracing:
    """Makes the spans of requests and sends them in batches, from a thread of its own.

    Parameters
    ----------
    exporter : SpanExporter
        Where finished spans go.
    service : str
        How this process names itself.
    version : str
        Of the program.

    Notes
    -----
    A request continues the trace of its caller: the ``traceparent`` header of W3C Trace Context.
    """

    def __init__(self, exporter: SpanExporter, service: str, version: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": service, "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("margincast.serving", version)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Span]:
        """Open the span of a request; spans opened below it are its children.

        Parameters
        ----------
        scope : dict
            ASGI's.

        Yields
        ------
        Span
            Of kind server.
        """
        from opentelemetry.trace import SpanKind

        carrier = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"] if k.startswith(b"trace")}
        above = self._propagator.extract(carrier)
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        token = _tracer.set(self._tracer)
        try:
            with self._tracer.start_as_current_span(
                scope["method"], above, kind=SpanKind.SERVER, attributes=attributes
            ) as found:
                yield found
        finally:
            _tracer.reset(token)

    @staticmethod
    def answered(found: Span, route: str, status: int) -> None:
        """Name a span after the route that answered.

        Parameters
        ----------
        found : Span
            Of a request.
        route : str
            Template of the route.
        status : int
            HTTP status.
        """
        from opentelemetry.trace import Status, StatusCode

        found.update_name(f"{found.attributes['http.request.method']} {route}")  # type: ignore[attr-defined]
        found.set_attribute("http.route", route)
        found.set_attribute("http.response.status_code", status)
        if status >= 500:
            found.set_status(Status(StatusCode.ERROR))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def open_tracing(endpoint: str, version: str, service: str = "margincast") -> Tracing | None:
    """Send spans to a collector.

    Parameters
    ----------
    endpoint : str
        Address of an OTLP collector over HTTP, for example ``http://127.0.0.1:4318/v1/traces``; empty: no tracing.
    version : str
        Of the program.
    service : str
        How this process names itself.

    Returns
    -------
    Tracing or None
        None where there is no endpoint.

    Raises
    ------
    InputError
        If the extra is not installed.

    Examples
    --------
    >>> open_tracing("", "1") is None
    True
    """
    if not endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise InputError("otel_endpoint", endpoint, "nothing, or the extra: pip install 'margincast[otel]'") from None
    return Tracing(OTLPSpanExporter(endpoint=endpoint), service, version)


def span(name: str) -> AbstractContextManager[Any]:
    """Open a span below that of the request; nothing where there is none.

    Parameters
    ----------
    name : str
        What is done.

    Returns
    -------
    context manager
        Ends the span.

    Examples
    --------
    >>> with span("decode") as opened:
    ...     opened is None
    True
    """
    tracer = _tracer.get()
    return _OFF if tracer is None else tracer.start_as_current_span(name)


def carried(work: Callable[[], _T]) -> Callable[[], _T]:
    """Let work that goes to another thread keep the span of its request.

    Parameters
    ----------
    work : callable
        What to do.

    Returns
    -------
    callable
        The same.
    """
    if _tracer.get() is None:
        return work
    context = contextvars.copy_context()
    return lambda: context.run(work)
