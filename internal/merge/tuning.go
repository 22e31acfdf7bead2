package merge

import "time"

// The tests are TestRegulars, which fails without lingering or without pauses between lingers in
// vain, and TestHiccup. The callers are Enqueue and stm: the rows of "make compare" are queue_8x8
// and stm_c16.
const (
	// patience is the longest time to linger. The time is shorter if the last request was short.
	patience = time.Millisecond
	// probe is the number of lingers in vain after which a request lingers for the full time again.
	probe = 16
)
