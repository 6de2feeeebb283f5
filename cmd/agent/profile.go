//go:build !windsock_profile

package main

// profiled runs the agent. Only a binary that is built for it (the load program's -profile) writes a profile.
func profiled(run func() int) int { return run() }
