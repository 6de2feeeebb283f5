//go:build !linux

package schedule

import "context"

// WatchClocks cannot say anything here.
func WatchClocks(context.Context) <-chan struct{} { return nil }
