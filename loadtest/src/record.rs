//! A proxy that passes gRPC on and writes down the unary requests.
