//go:build !linux

package schedule

import (
	"context"
	"time"
)

// WatchClocks cannot say anything here.
func WatchClocks(context.Context) <-chan struct{} { return nil }

// suspendedTime is not known here: sleep of the host looks like a step of the wall clock.
func suspendedTime() time.Duration { return 0 }
