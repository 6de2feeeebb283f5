package checks

import "fmt"

// Status is the verdict of one run.
type Status uint8

// The statuses. The zero value is Unknown: nobody's word is never green.
const (
	Unknown  Status = iota // the target's state could not be determined
	OK                     // the target did what was expected
	Degraded               // it did, but too slowly or with a warning
	Failed                 // it did not
	Error                  // our own fault: the run could not be made
	Skipped                // the run was not made, on purpose; Cause says why
)

// Statuses lists every status in order.
func Statuses() []Status { return []Status{Unknown, OK, Degraded, Failed, Error, Skipped} }

// String is the lower-case name: "ok", "failed".
func (s Status) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case OK:
		return "ok"
	case Degraded:
		return "degraded"
	case Failed:
		return "failed"
	case Error:
		return "error"
	case Skipped:
		return "skipped"
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// MarshalText writes the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name written by MarshalText.
func (s *Status) UnmarshalText(text []byte) error {
	for _, known := range Statuses() {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("status %q is not one of unknown, ok, degraded, failed, error, skipped", text)
}

// Reached reports whether the target itself was judged: true for OK, Degraded and Failed. Only then is there a
// probe.success point, because our own fault must not look like the target's outage.
func (s Status) Reached() bool { return s == OK || s == Degraded || s == Failed }
