"""Asks by Python's grpcio: ask.py ADDRESS plain|gzip|metadata QUESTIONS.

A question is a line: the method's path and the message in hex. For each it prints code, text, details and reply.
"""

import concurrent.futures
import sys

import grpc

address, how, path = sys.argv[1:]
metadata = [("authorization", "Bearer of-nothing"), ("x-cookie-bin", b"\x00\xff")] if how == "metadata" else None
compression = grpc.Compression.Gzip if how == "gzip" else None


def ask(channel, line):
    method, message = line.rstrip("\n").split("\t")
    # Without functions to encode and decode, messages are bytes.
    call = channel.unary_unary(method)
    try:
        reply = call(bytes.fromhex(message), timeout=60, metadata=metadata, compression=compression)
        return f"0\t\t\t{reply.hex()}"
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        return f"{error.code().value[0]}\t{error.details().encode().hex()}\t{details.hex()}\t"


with open(path, encoding="ascii") as questions, grpc.insecure_channel(
    address, options=[("grpc.max_receive_message_length", 64 << 20)]
) as channel, concurrent.futures.ThreadPoolExecutor(16) as pool:
    for answer in pool.map(lambda line: ask(channel, line), questions):
        print(answer)
