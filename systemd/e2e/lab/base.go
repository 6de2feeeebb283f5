//go:build (e2e || packages) && linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Mirror is the variable that names the Debian mirror where apt's own sources have none.
const Mirror = "WINDSOCK_E2E_MIRROR"

// included is what a small server has, in apt's words.
const included = "systemd,systemd-sysv,dbus,iproute2,procps,kmod,ca-certificates,util-linux"

// Check says what keeps this machine from booting another, nil where nothing is known to.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("booting a release needs root: it mounts, and makes namespaces")
	}
	if err := needs("systemd-nspawn", "mmdebstrap"); err != nil {
		return err
	}
	if _, err := cgroups(); err != nil {
		return err
	}
	return nil
}

// CheckComputer is Check for machines with a kernel of their own.
func CheckComputer() error {
	if err := Check(); err != nil {
		return err
	}
	return needs("qemu-system-x86_64", "mke2fs")
}

func needs(programs ...string) error {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("booting a release needs %s: %w", program, err)
		}
	}
	return nil
}

// Base is the tree of a Debian release, made where the cache has none: built aside and renamed, so that a tree is whole or
// not there. What the tools say is written to log.
func Base(ctx context.Context, release string, log io.Writer) (string, error) {
	return base(ctx, release, release, included, log)
}

// Bare is the least tree of a Debian release: no systemd in it. It is not to boot, but to install packages into a copy of it.
func Bare(ctx context.Context, release string, log io.Writer) (string, error) {
	return base(ctx, release, release+"-bare", "", log)
}

// BaseWithKernel is a tree that can be booted in an emulated computer, too.
func BaseWithKernel(ctx context.Context, release string, log io.Writer) (string, error) {
	return base(ctx, release, release+"-kernel", included+",linux-image-cloud-amd64,initramfs-tools", log)
}

func base(ctx context.Context, release, name, packages string, log io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	tree := filepath.Join(cache, name)
	lock, err := os.OpenFile(tree+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a path of the cache
	if err != nil {
		return "", fmt.Errorf("locking the cache: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking the cache: %w", err)
	}
	if _, err := os.Stat(tree); err == nil {
		return tree, nil
	}
	mirror, err := mirror(ctx)
	if err != nil {
		return "", err
	}
	aside := tree + ".new"
	if err := os.RemoveAll(aside); err != nil {
		return "", fmt.Errorf("clearing what an earlier build left: %w", err)
	}
	fmt.Fprintf(log, "making the base tree %s in %s, once\n", name, cache)
	args := []string{"--quiet", "--variant=minbase", "--aptopt=Acquire::Check-Valid-Until \"false\""}
	if packages != "" {
		args = append(args, "--include="+packages)
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, release, aside, mirror)...) //nolint:gosec // our own words
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("making the base tree of %s from apt's mirror: %w", release, err)
	}
	if err := os.Rename(aside, tree); err != nil {
		return "", fmt.Errorf("keeping the base tree: %w", err)
	}
	return tree, nil
}

func cacheDir() (string, error) {
	dir := "/var/cache/windsock-e2e"
	if home := os.Getenv("XDG_CACHE_HOME"); home != "" { //nolint:forbidigo // where caches are is the environment's to say
		dir = filepath.Join(home, "windsock-e2e")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the trees within are what every user of a system sees
		return "", fmt.Errorf("making the cache: %w", err)
	}
	return dir, nil
}

// mirror is where apt itself gets Debian from.
func mirror(ctx context.Context) (string, error) {
	if told := os.Getenv(Mirror); told != "" { //nolint:forbidigo // see Mirror
		return told, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE)", "Created-By: Packages", "Component: main").Output()
	if err != nil {
		return "", fmt.Errorf("asking apt for its sources: %w", err)
	}
	for line := range strings.Lines(string(bytes.TrimSpace(out))) {
		origin, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		uri, suite, _ := strings.Cut(rest, " ")
		if origin == "Debian" && !strings.Contains(suite, "security") && !strings.HasSuffix(strings.TrimSuffix(uri, "/"), "-security") {
			return uri, nil
		}
	}
	return "", fmt.Errorf("apt knows no Debian mirror here (after apt-get update); name one in %s", Mirror)
}
