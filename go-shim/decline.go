package shim

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"hotpath.dev/go-shim/position"
)

// reasonDeclined is the reason of google.rpc.ErrorInfo, in the sidecar's domain, of a request that its model leaves to the
// service. Its metadata says by whyKey which of the model's own reasons it was.
const (
	reasonDeclined = "DECLINED"
	whyKey         = "why"
)

// whyDeclined is the model's reason; "" if the sidecar does not say.
func whyDeclined(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == position.Domain {
			return info.GetMetadata()[whyKey]
		}
	}
	return ""
}
