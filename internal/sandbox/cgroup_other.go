//go:build !linux

package sandbox

import "errors"

// Cgroups are there on Linux only.
type Cgroups struct{}

// Cgroup is there on Linux only.
type Cgroup struct{}

// OpenCgroups finds none.
func OpenCgroups(string) (*Cgroups, error) { return nil, errors.New("this is not Linux") }

// Make makes none.
func (*Cgroups) Make(string, int64, int) (*Cgroup, error) { return nil, errors.ErrUnsupported }

// Dir is nowhere.
func (*Cgroup) Dir() string { return "" }

// Kill kills nothing.
func (*Cgroup) Kill() error { return errors.ErrUnsupported }

// Remove removes nothing.
func (*Cgroup) Remove() error { return errors.ErrUnsupported }

// Peak is unknown.
func (*Cgroup) Peak() (int64, bool) { return 0, false }

// OOMKills is unknown.
func (*Cgroup) OOMKills() int { return 0 }
