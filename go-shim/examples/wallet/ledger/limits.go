package ledger

// These are all limits of the ledger and of its reads.
const (
	MaxTransactionIDBytes = 64
	MaxAccountIDBytes     = 64
	MaxAssetBytes         = 16
	MaxKindBytes          = 32
	MaxEntries            = 1000
	// MaxAmount bounds |amount|. The sum of 1,000 entries of this amount still fits int64.
	MaxAmount = 1_000_000_000_000_000
	// MinTimeUS and MaxTimeUS are 0001-01-01 and the last microsecond of 9999-12-31, UTC.
	MinTimeUS = -62_135_596_800_000_000
	MaxTimeUS = 253_402_300_799_999_999

	MaxBatchAccounts  = 1000
	MaxPercentiles    = 100
	MaxBasisPoints    = 10_000
	MaxCounterparties = 100
	MaxBuckets        = 10_000
	MaxPageSize       = 1000
)
