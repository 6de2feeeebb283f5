package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// build writes every format for every arch, and the checksums of all. work is an empty folder for what lies between.
func (r *release) build(ctx context.Context, work, dist string, arches, formats []string) (files []string, err error) {
	shared := filepath.Join(work, "shared")
	if err := r.stageShared(ctx, shared); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil { //nolint:gosec // what is released is public
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex // guards files
	for _, arch := range arches {
		stage := filepath.Join(work, arch)
		if err := r.stage(ctx, shared, stage, arch); err != nil {
			_ = group.Wait()
			return files, fmt.Errorf("staging for %s: %w", arch, err)
		}
		for _, format := range formats {
			group.Go(func() error {
				target := filepath.Join(dist, r.named(arch, format))
				if err := r.pack(ctx, stage, arch, format, target); err != nil {
					return fmt.Errorf("the %s for %s: %w", format, arch, err)
				}
				mu.Lock()
				defer mu.Unlock()
				files = append(files, target)
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return files, err
	}
	slices.Sort(files)
	sums := filepath.Join(dist, "SHA256SUMS")
	text, err := checksums(files)
	if err != nil {
		return files, err
	}
	return append(files, sums), write(sums, text, 0o644, r.date)
}

func (r *release) pack(ctx context.Context, stage, arch, format, target string) error {
	switch format {
	case "deb", "rpm":
		return r.nfpm(ctx, stage, arch, format, target)
	case "tar.gz":
		return r.archive(stage, strings.TrimSuffix(filepath.Base(target), ".tar.gz"), target)
	case "cdx.json":
		return r.materials(ctx, filepath.Join(stage, "root/usr/bin/windsock"), arch, target)
	}
	return fmt.Errorf("unknown format %q, want deb, rpm, tar.gz or cdx.json", format)
}

// named is how a file is called: as is usual for its format.
func (r *release) named(arch, format string) string {
	switch format {
	case "rpm":
		machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
		return "windsock-" + r.packaged() + "-1." + machine + ".rpm"
	case "deb":
		return "windsock_" + r.packaged() + "_" + arch + ".deb"
	}
	return "windsock_" + r.packaged() + "_linux_" + arch + "." + format
}

// checksums is what sha256sum prints.
func checksums(files []string) ([]byte, error) {
	var text bytes.Buffer
	for _, file := range files {
		data, err := os.ReadFile(file) //nolint:gosec // written just now
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(data), filepath.Base(file))
	}
	return text.Bytes(), nil
}

// compile builds the agent. Commit and date are the linker's, so that a clone, a worktree and an archive build the same.
func (r *release) compile(ctx context.Context, to, arch string, tags ...string) error {
	flags := fmt.Sprintf("-s -w -buildid= -X main.version=%s -X main.commit=%s -X main.date=%s", r.version, r.commit, r.date.Format(time.RFC3339))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", strings.Join(tags, ","), "-ldflags", flags, "-o", to, "./cmd/agent") //nolint:gosec // the Go that built this
	cmd.Dir = r.root
	cmd.Env = append(slices.Clone(r.environ), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=")
	_, err := output(cmd)
	return err
}

// tool is the path of a program of tools/package/go.mod, which is built where it is not yet.
func (r *release) tool(ctx context.Context, name string) (string, error) {
	mod, err := filepath.Abs(filepath.Join(r.root, "tools/package/go.mod"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile="+mod, "-n", name) //nolint:gosec // as above
	cmd.Dir = r.root
	cmd.Env = append(slices.Clone(r.environ), "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	path, err := output(cmd)
	return strings.TrimSpace(string(path)), err
}

func (r *release) nfpm(ctx context.Context, stage, arch, format, target string) error {
	nfpm, err := r.tool(ctx, "nfpm")
	if err != nil {
		return err
	}
	if target, err = filepath.Abs(target); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, nfpm, "package", "--config", "nfpm.yaml", "--packager", format, "--target", target) //nolint:gosec // as above
	cmd.Dir = stage
	cmd.Env = append(slices.Clone(r.environ), "VERSION="+r.packaged(), "ARCH="+arch, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.date.Unix()))
	_, err = output(cmd)
	return err
}

// output runs a command and returns what it wrote to standard output; what it complained of is part of the error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out.Bytes(), complaints.Bytes())
	}
	return out.Bytes(), nil
}
