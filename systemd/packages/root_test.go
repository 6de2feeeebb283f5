//go:build packages

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/windsock-monitor/windsock/systemd/e2e/lab"
)

// tree is the path of a small Debian tree without systemd, which is made once and kept.
var tree = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // one tree for all tests
	return lab.Bare(context.Background(), "bookworm", os.Stderr)
})

// inside runs a script with $R, a copy of the tree that is gone afterwards, and $1 to $9, the files. `within COMMAND…` runs a command
// in the copy. A script that ends badly fails the test. All that it wrote is returned.
func inside(t *testing.T, script string, files ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("installing a package needs root: make test-package as root")
	}
	base, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	const world = `set -eu
exec 2>&1
W=$(mktemp -d)
trap 'umount -l "$W"; rmdir "$W"' EXIT
mount -t tmpfs none "$W"
mkdir "$W/up" "$W/work" "$W/root"
R=$W/root
mount -t overlay none -o "lowerdir=$BASE,upperdir=$W/up,workdir=$W/work" "$R"
mount -t proc proc "$R/proc"
mount --bind /dev "$R/dev"
within() { chroot "$R" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
owners() { within find /etc/windsock /etc/default/windsock -printf '%M %u:%g %p\n' | sort -k 3; }
all() { (cd "$R" && find . -xdev ! -path './tmp/*' ! -path './var/log/*' ! -path './var/lib/dpkg/*' ! -path './etc/*-' ! -path './etc/.pwd.lock' ! -path './var/lib/rpm*' ! -path './usr/lib/sysimage*' | sort); }
`
	cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", world + script, "sh"}, files...)...)
	cmd.Env = append(os.Environ(), "BASE="+base)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// has looks for lines, in this order.
func has(t *testing.T, out string, lines ...string) {
	t.Helper()
	rest := out
	for _, line := range lines {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Errorf("no %q where it should be in:\n%s", line, out)
			return
		}
		rest = after
	}
}
