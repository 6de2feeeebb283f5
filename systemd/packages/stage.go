package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// piece is one file of the checkout, or a pattern of files, and where it stands in the stage. Everything below root/ is
// installed as it lies there; nfpm.yaml says where the rest goes.
type piece struct {
	from, to string
	mode     fs.FileMode
}

func pieces() []piece {
	return []piece{
		{"systemd/nfpm.yaml", "nfpm.yaml", 0o644},
		{"systemd/scripts/*", "scripts", 0o755},
		{"systemd/install.sh", "install.sh", 0o755},
		{"systemd/lintian-overrides", "lintian-overrides", 0o644},
		{"LICENSE", "LICENSE", 0o644},
		{"systemd/windsock.default", "config/default", 0o644},
		{"systemd/*.service", "root/usr/lib/systemd/system", 0o644},
		{"systemd/windsock.sysusers", "root/usr/lib/sysusers.d/windsock.conf", 0o644},
		{"systemd/scripts/restart", "root/usr/lib/windsock/restart", 0o755},
		{"systemd/drop-ins/*.conf", "root/usr/share/windsock/drop-ins", 0o644},
		{"docs/*.md", "root/usr/share/doc/windsock/docs", 0o644},
		{"docs/*.json", "root/usr/share/doc/windsock/docs", 0o644},
		{"docs/checks/*.md", "root/usr/share/doc/windsock/docs/checks", 0o644},
		{"docs/exporters/*.md", "root/usr/share/doc/windsock/docs/exporters", 0o644},
		{"docs/operations/*.md", "root/usr/share/doc/windsock/docs/operations", 0o644},
		{"docs/runbook/*.md", "root/usr/share/doc/windsock/docs/runbook", 0o644},
		{"docs/plugins/*.md", "root/usr/share/doc/windsock/docs/plugins", 0o644},
		{"schedules.schema.json", "root/usr/share/windsock/schedules.schema.json", 0o644},
	}
}

// stageShared fills a folder with what is the same on every machine.
func (r *release) stageShared(ctx context.Context, shared string) error {
	for _, p := range pieces() {
		if err := r.copies(p, shared); err != nil {
			return err
		}
	}
	if err := r.configuration(shared); err != nil {
		return err
	}
	if err := r.texts(shared); err != nil {
		return fmt.Errorf("changelog and licences: %w", err)
	}
	if err := r.manuals(ctx, shared); err != nil {
		return fmt.Errorf("manual pages and completion: %w", err)
	}
	return nil
}

// stage fills a folder with all that one machine gets.
func (r *release) stage(ctx context.Context, shared, stage, arch string) error {
	err := filepath.WalkDir(shared, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(shared, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return mkdir(filepath.Join(stage, name))
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return r.copyFile(path, filepath.Join(stage, name), info.Mode())
	})
	if err != nil {
		return err
	}
	if err := r.thirdParties(ctx, filepath.Join(stage, "third-party-licenses.gz"), arch); err != nil {
		return err
	}
	binary := filepath.Join(stage, "root/usr/bin/windsock")
	if err := mkdir(filepath.Dir(binary)); err != nil {
		return err
	}
	if err := r.compile(ctx, binary, arch); err != nil {
		return err
	}
	if err := os.Chmod(binary, 0o755); err != nil { //nolint:gosec // all may run it
		return err
	}
	return os.Chtimes(binary, r.date, r.date)
}

// configuration is the commented default, twice: as what is edited, and as what it was.
func (r *release) configuration(shared string) error {
	data, err := os.ReadFile(filepath.Join(r.root, "schedules.yaml"))
	if err != nil {
		return err
	}
	data = bytes.Replace(data, []byte("$schema=./schedules.schema.json"), []byte("$schema=/usr/share/windsock/schedules.schema.json"), 1)
	if data, err = quiet(data); err != nil {
		return err
	}
	if err := write(filepath.Join(shared, "config/schedules.yaml"), data, 0o640, r.date); err != nil {
		return err
	}
	return write(filepath.Join(shared, "root/usr/share/windsock/schedules.yaml"), data, 0o644, r.date)
}

// quiet comments the stdout exporter out. Standard output of a service is the journal, where every record would be a line
// of a few thousand letters between those of the log.
func quiet(data []byte) ([]byte, error) {
	const begin, end = "  - name: stdout ", "    with: {format: json} "
	from := bytes.Index(data, []byte(begin))
	to := bytes.Index(data, []byte("\n"+end))
	if from < 0 || to < from {
		return nil, errors.New("schedules.yaml has no stdout exporter to comment out")
	}
	to += 1 + bytes.IndexByte(data[to+1:], '\n')
	block := bytes.ReplaceAll(data[from:to], []byte("\n    "), []byte("\n  #   "))
	block = bytes.Replace(block, []byte("  - "), []byte("  # - "), 1)
	block = bytes.ReplaceAll(block, []byte("#   # "), []byte("#   "))
	return slices.Concat(data[:from], block, data[to:]), nil
}

// manuals has a binary that is built for it write manual pages and completion.
func (r *release) manuals(ctx context.Context, shared string) error {
	folder := filepath.Join(filepath.Dir(shared), "manual")
	writer := filepath.Join(folder, "writer")
	if err := mkdir(folder); err != nil {
		return err
	}
	if err := r.compile(ctx, writer, runtime.GOARCH, "windsock_manual"); err != nil {
		return err
	}
	pages := filepath.Join(folder, "pages")
	if _, err := output(exec.CommandContext(ctx, writer, "manual", pages)); err != nil { //nolint:gosec // built just now
		return err
	}
	files, err := os.ReadDir(pages)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(pages, file.Name())) //nolint:gosec // as above
		if err != nil {
			return err
		}
		to := filepath.Join(shared, "root/usr/share/man/man"+strings.TrimPrefix(filepath.Ext(file.Name()), "."), file.Name()+".gz")
		if err := r.zipped(to, text); err != nil {
			return err
		}
	}
	for shell, to := range map[string]string{
		"bash": "root/usr/share/bash-completion/completions/windsock",
		"fish": "root/usr/share/fish/vendor_completions.d/windsock.fish",
		"zsh":  "_windsock", // its folder is another one in Debian
	} {
		script, err := output(exec.CommandContext(ctx, writer, "completion", shell)) //nolint:gosec // as above
		if err != nil {
			return err
		}
		if err := write(filepath.Join(shared, to), script, 0o644, r.date); err != nil {
			return err
		}
	}
	return nil
}

// zipped writes a text as gzip -9n does.
func (r *release) zipped(to string, text []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return write(to, b.Bytes(), 0o644, r.date)
}

// copies copies the files of a pattern into a folder, and a single one under its new name.
func (r *release) copies(p piece, stage string) error {
	to := filepath.Join(stage, p.to)
	if !strings.Contains(p.from, "*") {
		return r.copyFile(filepath.Join(r.root, p.from), to, p.mode)
	}
	if err := mkdir(to); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(r.root, p.from))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := r.copyFile(file, filepath.Join(to, filepath.Base(file)), p.mode); err != nil {
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
	return write(to, data, mode, r.date)
}

// write makes a file of the release: the umask of who builds has no part in it.
func write(to string, data []byte, mode fs.FileMode, at time.Time) error {
	if err := mkdir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := os.WriteFile(to, data, mode); err != nil { //nolint:gosec // below a folder of ours
		return err
	}
	if err := os.Chmod(to, mode); err != nil {
		return err
	}
	return os.Chtimes(to, at, at)
}

// mkdir makes folders that all may read, whatever the umask.
func mkdir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // what is released is public
		return err
	}
	return os.Chmod(path, 0o755) //nolint:gosec // as above
}
