//go:build packages

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// debian is the path of a small Debian tree without systemd, which is made once and kept.
func debian() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	tree := filepath.Join(cache, "windsock-packages", "bookworm")
	if _, err := os.Stat(filepath.Join(tree, "etc/os-release")); err == nil {
		return tree, nil
	}
	mirror, err := mirror()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(tree), 0o755); err != nil {
		return "", err
	}
	half := tree + ".new"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(context.Background(), "mmdebstrap", "--quiet", "--variant=minbase", `--aptopt=Acquire::Check-Valid-Until "false"`, "bookworm", half, mirror)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mmdebstrap: %w\n%s", err, out)
	}
	return tree, os.Rename(half, tree)
}

// mirror is where apt of this machine gets Debian from.
func mirror() (string, error) {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	lists, _ := filepath.Glob("/etc/apt/sources.list.d/*.list")
	for _, file := range append(append(files, "/etc/apt/sources.list"), lists...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if m := regexp.MustCompile(`(?m)^(?:URIs:|deb(?: \[[^]]*\])?) +(\S+/debian/?)(?: |$)`).FindSubmatch(text); m != nil {
			return string(m[1]), nil
		}
	}
	return "", errors.New("no source of Debian in /etc/apt")
}

var tree = sync.OnceValues(debian) //nolint:gochecknoglobals // one tree for all tests

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
