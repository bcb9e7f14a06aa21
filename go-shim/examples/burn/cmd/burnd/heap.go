package main

// record stands for what services keep: small, and with a pointer that the collector must follow.
type record struct {
	next *record
	_    [7]uint64
}

// recordBytes is the size of a record.
const recordBytes = 64

// liveHeap are records of so many bytes, to be kept as long as the service runs.
//
// Without any, a collection comes after every 4 MiB, some 500 requests, and looks at the stack of each request that waits
// for a sidecar: much of what the hop costs would be that. No service that is worth a sidecar has so small a heap.
func liveHeap(bytes int) *record {
	var head *record
	for range bytes / recordBytes {
		head = &record{next: head}
	}
	return head
}
