//! As much of HTTP/2 as a gRPC client needs, without a task or an allocation per request.
