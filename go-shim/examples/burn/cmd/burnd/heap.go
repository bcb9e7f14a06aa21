package main

// record stands for what services usually keep in memory: a small object with a pointer that the collector must follow.
type record struct {
	next *record
	_    [7]uint64
}

// recordBytes is the size of a record.
const recordBytes = 64

// liveHeap allocates records of so many bytes in total. The caller must keep them as long as the service runs.
//
// Without a live heap the collector would run after every 4 MiB, which are some 500 requests, and would scan the stack
// of each request that waits for a sidecar. That would be much of the hop's cost. No service that is worth a sidecar
// has so small a heap.
func liveHeap(bytes int) *record {
	var head *record
	for range bytes / recordBytes {
		head = &record{next: head}
	}
	return head
}
