package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// LongestSockets is how long the path of Program.Sockets may be, in bytes: that of a socket has at most 107, go-plugin's folder
// in it takes 21, and 26 are left for the name that the plugin gives its socket.
const LongestSockets = 107 - 21 - 26

// prefix is how folders of sockets begin.
const prefix = "windsock-"

// TempSockets makes a folder for Program.Sockets that nobody else has: in the one for temporary files where its path is short
// enough, else where a host has one that is. The caller removes it.
func TempSockets() (string, error) {
	var errs []error
	for _, parent := range shortParents() {
		dir, err := os.MkdirTemp(parent, prefix)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("making a folder for the sockets of plugins: %w", errors.Join(append(errs, errors.New("want one with a short path: set TMPDIR"))...))
}

// SocketsOf is TempSockets for an owner who comes again, and whom nobody else can be at the same time, such as whoever holds a
// state directory: it is the same folder each time, so that what a killed one left is found.
func SocketsOf(owner string) (string, error) {
	sum := sha256.Sum256([]byte(strconv.Itoa(os.Getuid()) + owner))
	for _, parent := range shortParents() {
		dir := filepath.Join(parent, prefix+hex.EncodeToString(sum[:5]))
		if os.Mkdir(dir, 0o700) == nil || ours(dir) {
			return dir, nil
		}
	}
	return TempSockets()
}

func shortParents() []string {
	const room = len("/"+prefix) + 10 // of digits
	var out []string
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp", "/dev/shm"} {
		if len(parent)+room <= LongestSockets {
			out = append(out, parent)
		}
	}
	return out
}
