package launch

import (
	"errors"
	"fmt"
	"os"
)

// LongestSockets is how long the path of Program.Sockets may be, in bytes: that of a socket has at most 107, go-plugin's folder
// in it takes 21, and 26 are left for the name that the plugin gives its socket.
const LongestSockets = 107 - 21 - 26

// TempSockets makes a folder for Program.Sockets that nobody else has: in the one for temporary files where its path is short
// enough, else where a host has one that is. The caller removes it.
func TempSockets() (string, error) {
	const room = len("/windsock-") + 10 // of digits
	var errs []error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp", "/dev/shm"} {
		if len(parent)+room > LongestSockets {
			continue
		}
		dir, err := os.MkdirTemp(parent, "windsock-")
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("making a folder for the sockets of plugins: %w", errors.Join(append(errs, errors.New("want one with a short path: set TMPDIR"))...))
}
