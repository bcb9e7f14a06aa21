package shim

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/position"
)

// reasonDeclined is the reason of google.rpc.ErrorInfo, in position.Domain, for a request that the sidecar's model
// leaves to the service. In the metadata of the ErrorInfo, whyKey holds the model's own reason.
const (
	reasonDeclined = "DECLINED"
	whyKey         = "why"
)

// reasonOverloaded is the reason for a request that the sidecar could not answer within the caller's time.
const reasonOverloaded = "OVERLOADED"

// whyDeclined returns the model's reason, or "" if the sidecar does not name it.
func whyDeclined(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == position.Domain {
			return info.GetMetadata()[whyKey]
		}
	}
	return ""
}
