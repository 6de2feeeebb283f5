package incident

import (
	"slices"
	"time"
)

// End closes every incident, whatever its alerts and the application's path say. It is for a book whose alerts are at an end:
// that of a drill.
func (b *Book) End(now time.Time) Outcome {
	var out Outcome
	for _, o := range slices.Clone(b.open) {
		o.settle(now)
		b.close(now, o, &out)
	}
	return out
}
