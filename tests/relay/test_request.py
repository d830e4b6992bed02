"""What a request says of itself to log lines."""

from fakes.upstream import gateway_of, library, request

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_labels_last_as_long_as_it_does() -> None:
    async with gateway_of(library()) as gateway:
        params = {"name": "lib__find", "_meta": {"traceparent": TRACE}}
        one, other = request(gateway, "tools/call", params), request(gateway, "tools/list")
    assert one.labels() == {"request_id": str(one.number), "trace_id": TRACE[3:35]}
    assert other.labels() == {"request_id": str(one.number + 1)}
    one.over = True
    assert one.labels() == {}


async def test_a_trace_field_that_is_none() -> None:
    async with gateway_of(library()) as gateway:
        for meta in (None, {}, {"traceparent": 7}, "traceparent", ["traceparent"]):
            one = request(gateway, "tools/list", {"_meta": meta})
            assert one.trace_field("traceparent") is None
