//go:build packages

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const checkout = "../.."

// world is what all tests look at: the same source, built twice, and what the second build called itself.
type world struct {
	first, second string // dist folders
	release       *release
}

var built world //nolint:gochecknoglobals // a build takes longer than all tests of it

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "windsock-packages-test-")
		if err == nil {
			defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
			err = buildTwice(context.Background(), folder)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// buildTwice builds two copies of the working tree, the second as somebody whose language, time zone, umask and machine are
// others.
func buildTwice(ctx context.Context, folder string) (err error) {
	built.first, built.second = filepath.Join(folder, "first"), filepath.Join(folder, "second")
	clean := slicesWithout(os.Environ(), "VERSION", "SOURCE_DATE_EPOCH")
	one, other := filepath.Join(folder, "tree"), filepath.Join(folder, "a tree with another name")
	if err := errors.Join(copied(ctx, one), copied(ctx, other)); err != nil {
		return err
	}
	if built.release, err = newRelease(ctx, one, clean); err != nil {
		return err
	}
	if err := build(ctx, []string{"-root", one, "-dist", built.first}, clean, io.Discard); err != nil {
		return err
	}
	defer syscall.Umask(syscall.Umask(0o077))
	return build(ctx, []string{"-root", other, "-dist", built.second},
		append(clean, "GOMAXPROCS=1", "TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "HOSTNAME=elsewhere"), io.Discard)
}

// copied clones the checkout, with what is not committed in it.
func copied(ctx context.Context, to string) error {
	script := `git clone -q --local . "$0" && find "$0" -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} + &&
		git ls-files -z -co --exclude-standard | tar --null --no-recursion --ignore-failed-read -cf - -T - 2>/dev/null | tar -xf - -C "$0" && git -C "$0" add -A`
	cmd := exec.CommandContext(ctx, "sh", "-c", script, to)
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cloning: %w\n%s", err, out)
	}
	return nil
}

func slicesWithout(environ []string, names ...string) []string {
	var rest []string
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
			rest = append(rest, line)
		}
	}
	return rest
}

// file is the path of one built file.
func file(arch, format string) string {
	path, _ := filepath.Abs(filepath.Join(built.first, built.release.named(arch, format)))
	return path
}

// said runs a command, which has to end well, and returns all that it wrote.
func said(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// entry is a file of a package.
type entry struct {
	mode   string
	target string
	data   []byte
}

// unpacked reads a tar archive.
func unpacked(t *testing.T, from io.Reader) map[string]entry {
	t.Helper()
	files := map[string]entry{}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(built.release.date) {
			t.Errorf("%s is of %s, want %s", h.Name, h.ModTime.UTC(), built.release.date)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Gname != "root" {
			t.Errorf("%s belongs to %s:%s (%d:%d), want root:root", h.Name, h.Uname, h.Gname, h.Uid, h.Gid)
		}
		files[strings.TrimSuffix(strings.TrimPrefix(h.Name, "."), "/")] = entry{mode: h.FileInfo().Mode().String(), target: h.Linkname, data: data}
	}
}

func inDeb(t *testing.T, arch string) map[string]entry {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--fsys-tarfile", file(arch, "deb")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return unpacked(t, bytes.NewReader(out))
}

func unzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
