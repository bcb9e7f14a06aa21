package main

import "google.golang.org/protobuf/encoding/protowire"

// accountField is the number of the field with the account's id, or the first of them, in each request of a hot read.
const accountField = 1

// accountOf is the key by which a canary chooses, so that all reads of an account are answered by the same side. Nothing is
// decoded but that field.
func accountOf(_ string, request []byte) []byte {
	for len(request) > 0 {
		number, kind, n := protowire.ConsumeTag(request)
		if n < 0 {
			return nil
		}
		request = request[n:]
		if number == accountField && kind == protowire.BytesType {
			id, n := protowire.ConsumeBytes(request)
			if n < 0 {
				return nil
			}
			return id
		}
		if n = protowire.ConsumeFieldValue(number, kind, request); n < 0 {
			return nil
		}
		request = request[n:]
	}
	return nil
}
