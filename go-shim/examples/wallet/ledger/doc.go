// Package ledger holds the rules of the wallet's ledger: what a valid transaction is, how it is encoded, what the
// arguments of the reads must look like, and the texts of the errors. It depends on no storage and no transport.
package ledger
