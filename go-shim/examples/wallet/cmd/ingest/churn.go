package main

// churnFigures say what resident memory did while the ledger was live. Only entries should add to it for good. Versions
// that are kept to be asked for add to it until there are as many as are kept.
type churnFigures struct {
	// Before and After are at rest, when no old version is kept. PerEntry is the growth from one to the other by added
	// entry, in bytes.
	Before   rested  `json:"before"`
	After    rested  `json:"after"`
	PerEntry float64 `json:"resident_bytes_per_entry_at_rest"`
	// OfAll is After without the empty hotpathd, by entry of the whole ledger.
	OfAll float64 `json:"resident_bytes_per_entry_of_all"`
	// These are the slopes of lines through the samples of either half.
	FirstHalf  float64 `json:"resident_bytes_per_entry_first_half"`
	SecondHalf float64 `json:"resident_bytes_per_entry_second_half"`
}

func churnOf(samples []sample, entries int, before, after rested) *churnFigures {
	middle := len(samples) / 2
	return &churnFigures{
		Before: before, After: after, PerEntry: per(int(after.Resident-before.Resident), float64(entries)),
		FirstHalf: slope(samples[:middle+1]), SecondHalf: slope(samples[middle:]),
	}
}

// slope is the slope of resident memory over entries: of the line with the least squares, or 0 if no entry came.
func slope(samples []sample) float64 {
	var entries, bytes float64
	for _, one := range samples {
		entries += float64(one.Entries) / float64(len(samples))
		bytes += float64(one.Resident) / float64(len(samples))
	}
	var up, over float64
	for _, one := range samples {
		away := float64(one.Entries) - entries
		up += away * (float64(one.Resident) - bytes)
		over += away * away
	}
	if over == 0 {
		return 0
	}
	return up / over
}
