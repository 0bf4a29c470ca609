"""The echo service of EchoService.cs on Python's grpcio. Prints its port, then "cancelled" for each call that was cancelled. Ends with its standard input."""
import sys
import threading
from concurrent import futures

import grpc

LIMIT = 20 << 20
CODES = {code.value[0]: code for code in grpc.StatusCode}


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def echo(request, context):
    return request


def count(request, context):
    for i in range(int(request)):
        yield str(i).encode()


def join(requests, context):
    return b",".join(requests)


def chat(requests, context):
    yield from requests


def fail(request, context):
    code, message = request.decode().split(" ", 1)
    context.set_trailing_metadata((("why", "asked for"),))
    context.abort(CODES[int(code)], message)


def fail_later(request, context):
    yield b"first"
    fail(request, context)


def watch_for_end(context):
    """An event for the end of the call, which only its cancellation brings. Asked for before anything is sent, or the end may come first."""
    over = threading.Event()

    def end():
        say("cancelled")
        over.set()

    if not context.add_callback(end):
        end()
    return over


def hang(request, context):
    watch_for_end(context).wait()
    return b""


def hang_later(request, context):
    over = watch_for_end(context)
    yield b"first"
    over.wait()


def mirror(request, context):
    given = dict(context.invocation_metadata())
    context.send_initial_metadata((("text", given["text"]), ("data-bin", given["data-bin"])))
    context.set_trailing_metadata((("text-trailer", given["text"]), ("data-trailer-bin", given["data-bin"])))
    return request


def check_health(request, context):
    # A HealthCheckRequest for the whole server is empty; field 1 of the response is the status, 1 is SERVING.
    if request:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return b"\x08\x01"


unary = grpc.unary_unary_rpc_method_handler
server_streaming = grpc.unary_stream_rpc_method_handler
server = grpc.server(
    futures.ThreadPoolExecutor(max_workers=20),
    options=[("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)])
server.add_generic_rpc_handlers((
    grpc.method_handlers_generic_handler("test.Raw", {
        "Echo": unary(echo),
        "Count": server_streaming(count),
        "Join": grpc.stream_unary_rpc_method_handler(join),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Fail": unary(fail),
        "FailLater": server_streaming(fail_later),
        "Hang": unary(hang),
        "HangLater": server_streaming(hang_later),
        "Mirror": unary(mirror),
    }),
    grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": unary(check_health)}),
))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
say(str(port))
sys.stdin.read()
server.stop(None)
