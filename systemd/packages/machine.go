package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// machine builds everything for one kind of machine.
func (r *release) machine(ctx context.Context, arch string, formats []string, out io.Writer) error {
	stage := filepath.Join(r.dist, "stage", arch)
	if err := r.stage(ctx, stage, arch); err != nil {
		return fmt.Errorf("staging for %s: %w", arch, err)
	}
	for _, format := range formats {
		target := filepath.Join(r.dist, "windsock_"+r.packaged()+"_"+arch+"."+format)
		if err := r.nfpm(ctx, stage, arch, format, target); err != nil {
			return fmt.Errorf("the %s for %s: %w", format, arch, err)
		}
		fmt.Fprintln(out, target)
	}
	return nil
}

// stage fills a new folder with all that is packed, each file with its mode and the time of the release.
func (r *release) stage(ctx context.Context, stage, arch string) error {
	if err := os.RemoveAll(stage); err != nil {
		return err
	}
	if err := r.compile(ctx, filepath.Join(stage, "windsock"), arch); err != nil {
		return err
	}
	for _, c := range []struct {
		from, to string
		mode     fs.FileMode
	}{
		{"systemd/nfpm.yaml", "nfpm.yaml", 0o644},
		{"systemd/*.service", "units", 0o644},
		{"systemd/drop-ins/*.conf", "drop-ins", 0o644},
		{"systemd/windsock.sysusers", "sysusers.conf", 0o644},
		{"systemd/windsock.default", "default", 0o644},
		{"systemd/scripts/*", "scripts", 0o755},
		{"schedules.yaml", "schedules.yaml", 0o640},
		{"schedules.schema.json", "schedules.schema.json", 0o644},
	} {
		if err := r.copies(c.from, filepath.Join(stage, c.to), c.mode); err != nil {
			return err
		}
	}
	return nil
}

// copies copies the files that match a pattern into the folder to; a single name is copied to the file to.
func (r *release) copies(pattern, to string, mode fs.FileMode) error {
	if !strings.Contains(pattern, "*") {
		return r.copyFile(filepath.Join(r.root, pattern), to, mode)
	}
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // what is packed is public
		return err
	}
	files, err := filepath.Glob(filepath.Join(r.root, pattern))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := r.copyFile(file, filepath.Join(to, filepath.Base(file)), mode); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) copyFile(from, to string, mode fs.FileMode) error {
	data, err := os.ReadFile(from) //nolint:gosec // files of the checkout
	if err != nil {
		return err
	}
	return r.write(to, data, mode)
}

// write makes a file of the release; the umask of who builds is no part of it.
func (r *release) write(to string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // what is packed is public
		return err
	}
	if err := os.WriteFile(to, data, mode); err != nil {
		return err
	}
	if err := os.Chmod(to, mode); err != nil {
		return err
	}
	return os.Chtimes(to, r.date, r.date)
}

// compile builds the agent. Commit and date are the linker's, so that a worktree, a clone and an archive build the same.
func (r *release) compile(ctx context.Context, to, arch string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	flags := fmt.Sprintf("-s -w -buildid= -X main.version=%s -X main.commit=%s -X main.date=%s", r.version, r.commit, r.date.Format(time.RFC3339))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", to, "./cmd/agent") //nolint:gosec // the Go that runs this
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOFLAGS=")
	return run(cmd)
}

func (r *release) nfpm(ctx context.Context, stage, arch, format, target string) error {
	mod, err := filepath.Abs(filepath.Join(r.root, "tools/package/go.mod"))
	if err != nil {
		return err
	}
	if target, err = filepath.Abs(target); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile="+mod, "nfpm", "package", "--config", "nfpm.yaml", "--packager", format, "--target", target) //nolint:gosec // as above
	cmd.Dir = stage
	cmd.Env = append(os.Environ(), "VERSION="+r.packaged(), "ARCH="+arch, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.date.Unix()))
	return run(cmd)
}

// run runs a command; what it wrote is part of the error.
func run(cmd *exec.Cmd) error {
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args[:2], " "), err, said)
	}
	return nil
}
