//go:build linux

package sandbox

// Delegated finds the delegated cgroup of the process that proc, a folder as /proc/self, describes.
func Delegated(proc string) (string, error) { return delegated(proc) }
