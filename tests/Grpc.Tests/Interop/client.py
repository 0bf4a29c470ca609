"""Python's grpcio as a client of our server: client.py TARGET SCENARIO. Exits with 0 if everything was as it should be."""
import os
import sys
import threading

import grpc

LIMIT = 20 << 20
PATIENCE = 30
target, scenario = sys.argv[1:]
channel = grpc.insecure_channel(target, options=[
    ("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)])
echo = channel.unary_unary("/test.Raw/Echo")
count = channel.unary_stream("/test.Raw/Count")
join = channel.stream_unary("/test.Raw/Join")
chat = channel.stream_stream("/test.Raw/Chat")
fail = channel.unary_unary("/test.Raw/Fail")
fail_later = channel.unary_stream("/test.Raw/FailLater")
hang = channel.unary_unary("/test.Raw/Hang")
hang_later = channel.unary_stream("/test.Raw/HangLater")
mirror = channel.unary_unary("/test.Raw/Mirror")


def failure_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call should have failed")


def same(actual, expected):
    assert actual == expected, f"{actual!r} instead of {expected!r}"


def shapes():
    for length in (0, 1, 16379, 100000, 3000000):
        data = os.urandom(length)
        same(echo(data, timeout=PATIENCE), data)
    same(list(count(b"100", timeout=PATIENCE)), [str(i).encode() for i in range(100)])
    same(list(count(b"0", timeout=PATIENCE)), [])
    same(join(iter([b"a", b"b", b"", b"d"]), timeout=PATIENCE), b"a,b,,d")
    # Each answer is awaited before the next request: nothing may be held back in either direction.
    turn = threading.Semaphore(1)
    messages = [os.urandom(i * 1000) for i in range(50)]

    def requests():
        for message in messages:
            assert turn.acquire(timeout=PATIENCE)
            yield message

    answers = []
    for answer in chat(requests(), timeout=PATIENCE):
        answers.append(answer)
        turn.release()
    same(answers, messages)


def errors():
    for message in ("plain", "100% größer — 日本語 🦊", "two\r\nlines"):
        error = failure_of(lambda: fail(f"5 {message}".encode(), timeout=PATIENCE))
        same((error.code(), error.details()), (grpc.StatusCode.NOT_FOUND, message))
        same(dict(error.trailing_metadata())["why"], "asked for")
        error = failure_of(lambda: list(fail_later(f"10 {message}".encode(), timeout=PATIENCE)))
        same((error.code(), error.details()), (grpc.StatusCode.ABORTED, message))
        same(dict(error.trailing_metadata())["why"], "asked for")
    for method in ("/test.Raw/NoSuchMethod", "/no.Such/Service"):
        same(failure_of(lambda: channel.unary_unary(method)(b"", timeout=PATIENCE)).code(), grpc.StatusCode.UNIMPLEMENTED)
    # A message longer than a header block may be still arrives as a status, cut short.
    same(failure_of(lambda: fail(b"9 " + b"x" * 100000, timeout=PATIENCE)).code(), grpc.StatusCode.FAILED_PRECONDITION)


def deadline():
    same(failure_of(lambda: hang(b"", timeout=0.1)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    call = hang_later(b"", timeout=2)
    same(next(call), b"first")
    same(failure_of(lambda: next(call)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)


def cancel():
    call = hang_later(b"", timeout=PATIENCE)
    same(next(call), b"first")
    call.cancel()
    same(failure_of(lambda: next(call)).code(), grpc.StatusCode.CANCELLED)


def metadata():
    data = bytes([0, 255, 10, 13, 61])
    answer, call = mirror.with_call(b"x", timeout=PATIENCE, metadata=(("text", "a value, with punctuation"), ("data-bin", data)))
    same(answer, b"x")
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    same((initial["text"], initial["data-bin"]), ("a value, with punctuation", data))
    same((trailing["text-trailer"], trailing["data-trailer-bin"]), ("a value, with punctuation", data))


def large():
    data = os.urandom(16 << 20)
    same(echo(data, timeout=PATIENCE) == data, True)
    same([answer == data for answer in chat(iter([data, data]), timeout=PATIENCE)], [True, True])


def limit():
    same(failure_of(lambda: echo(bytes((4 << 20) + 1), timeout=PATIENCE)).code(), grpc.StatusCode.RESOURCE_EXHAUSTED)


def compression():
    packed = grpc.insecure_channel(target, compression=grpc.Compression.Gzip)
    error = failure_of(lambda: packed.unary_unary("/test.Raw/Echo")(bytes(10000), timeout=PATIENCE))
    same(error.code(), grpc.StatusCode.UNIMPLEMENTED)
    assert "gzip" in error.details(), error.details()


def health():
    # A HealthCheckRequest names the service in field 1; the response's field 1 is the status: 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN.
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
    same(check(b"", timeout=PATIENCE), b"\x08\x01")
    same(check(b"\x0a\x04down", timeout=PATIENCE), b"\x08\x02")
    same(failure_of(lambda: check(b"\x0a\x05other", timeout=PATIENCE)).code(), grpc.StatusCode.NOT_FOUND)
    call = watch(b"\x0a\x05other", timeout=PATIENCE)
    same(next(call), b"\x08\x03")
    call.cancel()


{f.__name__: f for f in (shapes, errors, deadline, cancel, metadata, large, limit, compression, health)}[scenario]()
