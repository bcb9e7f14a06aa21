// Package golden checks proto/golden/wallet-*.json. These files hold requests, and the exact replies or statuses that
// every implementation of the wallet must give at a position. Each file is
//
//	{"description": ..., "events": [base64 of an encoded wallet.v1.Transaction, positions 1, 2, 3, ...],
//	 "cases": [{"name", "method", "position", "request": base64, "code", "message", "response": base64}]}
//
// This command writes the files anew, from the service's answers:
//
//	go test ./wallet/golden -update
package golden
