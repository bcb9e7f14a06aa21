package ledger

import (
	"time"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

const (
	hourUS = 3_600_000_000
	dayUS  = 24 * hourUS
	weekUS = 7 * dayUS
	// mondayUS is the Monday before the epoch. The epoch is a Thursday.
	mondayUS = -3 * dayUS
)

// KnownStep returns false for the unspecified step and for numbers that this version does not know.
func KnownStep(step walletv1.Step) bool {
	return step >= walletv1.Step_STEP_HOUR && step <= walletv1.Step_STEP_MONTH
}

// BucketIndex returns the number of the calendar step, in UTC, that holds a time. Numbers ascend with time and have no
// gaps. The step must be known.
func BucketIndex(step walletv1.Step, us int64) int64 {
	switch step {
	case walletv1.Step_STEP_HOUR:
		return floorDiv(us, hourUS)
	case walletv1.Step_STEP_DAY:
		return floorDiv(us, dayUS)
	case walletv1.Step_STEP_WEEK:
		return floorDiv(us-mondayUS, weekUS)
	default:
		t := time.UnixMicro(us).UTC()
		return int64(t.Year())*12 + int64(t.Month()) - 1
	}
}

// BucketStart returns the first microsecond of the step to which BucketIndex gave this number.
func BucketStart(step walletv1.Step, index int64) int64 {
	switch step {
	case walletv1.Step_STEP_HOUR:
		return index * hourUS
	case walletv1.Step_STEP_DAY:
		return index * dayUS
	case walletv1.Step_STEP_WEEK:
		return index*weekUS + mondayUS
	default:
		return time.Date(int(floorDiv(index, 12)), time.Month(index%12+1), 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	}
}

// Buckets counts the steps from the one that holds fromUS to the one that holds the last instant before toUS.
func Buckets(step walletv1.Step, fromUS, toUS int64) int64 {
	return BucketIndex(step, toUS-1) - BucketIndex(step, fromUS) + 1
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
