package evidence

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// VersionsHere is what runs here; systemd is its version, "" where it is not the service manager.
func VersionsHere(windsock, commit, systemd string) Versions {
	v := Versions{Windsock: windsock, Commit: commit, Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Systemd: systemd}
	if data, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, found := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); found {
				v.OS = strings.Trim(name, `"'`)
			}
		}
	}
	var kernel unix.Utsname
	if unix.Uname(&kernel) == nil {
		v.Kernel = unix.ByteSliceToString(kernel.Sysname[:]) + " " + unix.ByteSliceToString(kernel.Release[:])
	}
	return v
}
