package wire

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hotpath.dev/go-shim/internal/h2"
)

// head is what gRPC means by a response's headers or trailers.
type head struct {
	status, contentType, code, message, details string
}

func readHead(fields []hpack.HeaderField) (h head) {
	for _, f := range fields {
		switch f.Name {
		case ":status":
			h.status = f.Value
		case "content-type":
			h.contentType = f.Value
		case "grpc-status":
			h.code = f.Value
		case "grpc-message":
			h.message = f.Value
		case "grpc-status-details-bin":
			h.details = f.Value
		}
	}
	return h
}

// informs is true for a response before the response.
func (h *head) informs() bool { return len(h.status) == 3 && h.status[0] == '1' }

// refusal is not nil if the response isn't one of gRPC.
func (h *head) refusal() error {
	if h.status != "200" {
		return status.Errorf(httpCode(h.status), "the peer answered with HTTP status %q", h.status)
	}
	if !strings.HasPrefix(h.contentType, "application/grpc") {
		return status.Errorf(codes.Unknown, "the peer answered with content type %q", h.contentType)
	}
	return nil
}

// outcome is the status that ends a stream; nil if it is OK. alone is true if there were no headers before.
func (h *head) outcome(alone bool) error {
	if alone {
		if err := h.refusal(); err != nil {
			return err
		}
	}
	number, err := strconv.ParseUint(h.code, 10, 32)
	if err != nil {
		return status.Errorf(codes.Internal, "the peer ended the stream with grpc-status %q", h.code)
	}
	if number == 0 {
		return nil
	}
	code := codes.Code(number)
	// What can't be unescaped is taken as it is.
	message, err := url.PathUnescape(h.message)
	if err != nil {
		message = h.message
	}
	var full spb.Status
	encoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(h.details, "="))
	if h.details == "" || err != nil || proto.Unmarshal(encoded, &full) != nil || full.GetCode() != int32(code) {
		return status.Error(code, message)
	}
	return status.ErrorProto(&full)
}

func httpCode(text string) codes.Code {
	switch text {
	case "400":
		return codes.Internal
	case "401":
		return codes.Unauthenticated
	case "403":
		return codes.PermissionDenied
	case "404":
		return codes.Unimplemented
	case "429", "502", "503", "504":
		return codes.Unavailable
	default:
		return codes.Unknown
	}
}

func resetCode(code h2.ErrCode) codes.Code {
	switch code {
	case h2.RefusedStream:
		return codes.Unavailable
	case h2.Cancel:
		return codes.Canceled
	case h2.EnhanceYourCalm:
		return codes.ResourceExhausted
	default:
		return codes.Internal
	}
}

func unavailable(err error) error { return &lostError{err} }

// lostError is the end of all streams of a connection.
type lostError struct{ cause error }

func (l *lostError) Error() string { return "a connection to the sidecar was lost: " + l.cause.Error() }
func (l *lostError) Unwrap() error { return l.cause }
func (l *lostError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, l.Error())
}
