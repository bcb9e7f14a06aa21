package oracle

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

func checkID(field, id string, most int) {
	ok := id != "" && len(id) <= most
	for _, b := range []byte(id) {
		ok = ok && strings.IndexByte("!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~", b) >= 0
	}
	if !ok {
		refuse(codes.InvalidArgument, "%s: must be 1-%d bytes of printable ASCII without spaces", field, most)
	}
}

func checkAssetIfGiven(asset *string) {
	if asset != nil {
		checkID("asset", *asset, 16)
	}
}

func checkTime(field string, us int64) {
	if year := time.UnixMicro(us).UTC().Year(); year < 1 || year > 9999 {
		refuse(codes.InvalidArgument, "%s: must be from 0001-01-01 to 9999-12-31 UTC", field)
	}
}

func checkWindow(account, asset string, from, to int64) {
	checkID("account_id", account, 64)
	checkID("asset", asset, 16)
	checkTime("from_us", from)
	checkTime("to_us", to)
	if from >= to {
		refuse(codes.InvalidArgument, "from_us: must be before to_us")
	}
}

func checkPercentiles(percentiles []uint32) {
	if len(percentiles) > 100 {
		refuse(codes.InvalidArgument, "percentiles: must be at most 100")
	}
	for i, p := range percentiles {
		field := fmt.Sprintf("percentiles[%d]", i)
		if p == 0 || p > 10_000 {
			refuse(codes.InvalidArgument, "%s: must be 1-10000 basis points", field)
		}
		for _, earlier := range percentiles[:i] {
			if earlier == p {
				refuse(codes.InvalidArgument, "%s: must not repeat", field)
			}
		}
	}
}
