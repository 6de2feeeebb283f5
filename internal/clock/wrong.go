package clock

import "time"

// Wrong reports whether a time cannot be: it is before the first agent of this kind. So stands the clock of a host that has
// no battery, or a flat one, until somebody sets it.
func Wrong(now time.Time) bool {
	return now.Before(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))
}
