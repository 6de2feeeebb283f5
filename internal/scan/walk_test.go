//go:build unix

package scan_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/internal/scan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func planted() string { return "MISTRAL_API_KEY=" + lot(32, base62) + "\n" }

// found are the files with credentials.
func found(r scan.Result) []string {
	var all []string
	for _, f := range r.Secrets {
		all = append(all, f.File)
	}
	return all
}

func TestWhatIsPassedOver(t *testing.T) {
	t.Parallel()
	wide := &bytes.Buffer{}
	if err := binary.Write(wide, binary.LittleEndian, append([]uint16{0xfeff}, utf16.Encode([]rune(planted()))...)); err != nil {
		t.Fatal(err)
	}
	outside := tree(t, map[string]string{"secret.env": planted(), "more/secret.env": planted()})
	dir := tree(t, map[string]string{
		"a/.env":                planted(),
		"b/.env":                wide.String(),
		"b/empty.env":           "",
		"c/program":             "\x7fELF\x02\x01\x01\x00" + planted(),
		"c/noise.dat":           strings.Repeat("\x01\x02\x03", 50) + planted(),
		"d/node_modules/x.js":   "// " + planted(),
		"d/.git/config":         planted(),
		"d/yarn.lock":           planted(),
		"d/app.min.js":          "// " + planted(),
		"d/skipped/by/name.env": planted(),
		"d/by/path.env":         planted(),
		"d/by/other.env":        planted(),
		"d/gitignored/.env":     planted(),
		"d/gitignored/ignore":   "",
		"d/.gitignore":          "gitignored/\n",
	})
	for from, to := range map[string]string{
		"loop": "loop", "a/up": "..", "a/itself": "../a", "out.env": outside + "/secret.env", "out": outside, "dangling": "nowhere", "a/again.env": ".env",
	} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.env"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := scan.Dir(t.Context(), dir, scan.Options{Skip: []string{"skipped", "d/by/path.env"}})
	if err != nil || r.Truncated != "" || r.Unread != 0 {
		t.Fatalf("got %v, %q, %v", err, r.Truncated, r.Unreadable)
	}
	if got, want := found(r), []string{"a/.env", "b/.env", "d/by/other.env", "d/gitignored/.env"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.Files != 7 || r.Skipped != 16 { // seven links, a pipe, two binaries, two directories and two files by their names, two by patterns
		t.Errorf("got %d files and %d skipped, want 7 and 16", r.Files, r.Skipped)
	}
	all, err := scan.Dir(t.Context(), dir, scan.Options{Everything: true})
	if got := found(all); err != nil || len(got) != 10 {
		t.Errorf("got %v, %q, want ten", err, got)
	}
}

func TestUnreadableFilesAreNamed(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := tree(t, map[string]string{"a.env": planted(), "b.env": planted(), "closed/c.env": planted(), "d.env": planted()})
	for _, name := range []string{"b.env", "closed"} {
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
	}
	r, err := scan.Dir(t.Context(), dir, scan.Options{})
	want := []scan.Unreadable{{File: "b.env", Why: "permission denied"}, {File: "closed", Why: "permission denied"}}
	if err != nil || r.Unread != 2 || !slices.Equal(r.Unreadable, want) {
		t.Errorf("got %v, %d, %v, want %v", err, r.Unread, r.Unreadable, want)
	}
	if got := found(r); !slices.Equal(got, []string{"a.env", "d.env"}) {
		t.Errorf("got %q, want those that can be read", got)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("%02d.env", i)] = planted()
	}
	dir := tree(t, files)
	for name, tt := range map[string]struct {
		o     scan.Options
		cut   string
		found int
	}{
		"files":       {scan.Options{Files: 10}, "there are more than 10 files", 10},
		"exactly all": {scan.Options{Files: 30}, "", 30},
		"findings":    {scan.Options{Findings: 3}, "of each sort of findings the first 3 are kept", 3},
		"time":        {scan.Options{Time: 1}, "the look took more than 1ns", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := scan.Dir(t.Context(), dir, tt.o)
			if err != nil || r.Truncated != tt.cut || len(r.Secrets) != tt.found {
				t.Errorf("got %v, %q, %d found, want %q, %d", err, r.Truncated, len(r.Secrets), tt.cut, tt.found)
			}
			for i, f := range found(r) {
				if want := fmt.Sprintf("%02d.env", i); f != want {
					t.Errorf("got %s, want %s: the first ones", f, want)
				}
			}
		})
	}
}

func TestTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := scan.Dir(ctx, tree(t, map[string]string{"a.env": planted()}), scan.Options{})
	if !errors.Is(err, context.Canceled) || r.Truncated == "" {
		t.Errorf("got %v, %q, want the context's end, and said so", err, r.Truncated)
	}
}

func TestNoDirectory(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"file": ""})
	for name, path := range map[string]string{"none": filepath.Join(dir, "none"), "a file": filepath.Join(dir, "file")} {
		if _, err := scan.Dir(t.Context(), path, scan.Options{}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestDeepDirectories(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{strings.Repeat("d/", 150) + "a.env": planted(), "z.env": planted()})
	r, err := scan.Dir(t.Context(), dir, scan.Options{})
	if err != nil || !strings.Contains(r.Truncated, "more than 100 others") || !slices.Equal(found(r), []string{"z.env"}) {
		t.Errorf("got %v, %q, %q", err, r.Truncated, found(r))
	}
}

func TestAHundredFindingsInOrder(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a.env": strings.Repeat("A=1\n"+planted(), 100), "b/c.env": planted()})
	r, err := scan.Dir(t.Context(), dir, scan.Options{})
	if err != nil || len(r.Secrets) != 101 {
		t.Fatalf("got %v, %d, want 101", err, len(r.Secrets))
	}
	for i, f := range r.Secrets[:100] {
		if f.Line != 2*i+2 || f.Column != 17 {
			t.Errorf("got %s, want line %d, column 17", f.Place, 2*i+2)
		}
	}
}

// Nothing of a credential is in what is said of it.
func TestFindingsDoNotShowTheKey(t *testing.T) {
	t.Parallel()
	key := lot(32, base62)
	for _, text := range []string{
		`apiKey: "` + key + `"`, `Authorization: Bearer ` + key, `x={"` + key + `_api_key":"` + key + `"}`, "gh" + "p_" + lot(36, base62),
		`password="Aa1!` + key + `"`, "// windsock:allow " + key + "\napiKey = '" + key + "'",
	} {
		r := scan.File("a.ts", []byte(text))
		if said := fmt.Sprintf("%+v %+v", r.Secrets, r.Allowed); strings.Contains(said, key[:6]) || strings.Contains(said, "32") || len(r.Secrets)+len(r.Allowed) == 0 {
			t.Errorf("got %s for %s", said, text)
		}
	}
}

// A program is looked at up to the bound, and said to be. What is none is looked at in pieces, lines and columns counted on.
func TestLargeFiles(t *testing.T) {
	t.Parallel()
	padding := strings.Repeat("some=thing that is no key\n", 1000)
	dir := tree(t, map[string]string{
		"a.env":  padding + planted() + padding + planted(),
		"b.json": strings.Repeat(" ", 200_000) + `{"apiKey":"` + lot(32, base62) + `"}` + strings.Repeat(" ", 200_000),
	})
	o := scan.Options{FileBytes: 5000}
	r, err := scan.Dir(t.Context(), dir, o)
	if err != nil || r.Truncated != "" || r.Bytes != int64(2*len(padding)+2*len(planted())+400_000+45) {
		t.Errorf("got %v, %q, %d bytes, want all", err, r.Truncated, r.Bytes)
	}
	var got []string
	for _, s := range r.Secrets {
		got = append(got, s.String())
	}
	if want := []string{"a.env:1001:17", "a.env:2002:17", "b.json:1:200012"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	dir = tree(t, map[string]string{"a.ts": strings.Repeat("// "+planted(), 500)})
	if r, err := scan.Dir(t.Context(), dir, o); err != nil || r.Truncated != "of 1 files only the beginning was read" || r.Bytes != 5000 {
		t.Errorf("got %v, %q, %d bytes, want the beginning", err, r.Truncated, r.Bytes)
	}
}

// A name is shown to people, on terminals: neither a key in it nor what a terminal obeys comes through.
func TestNamesOfFilesAreShownWithoutWhatTheyHide(t *testing.T) {
	t.Parallel()
	key := lot(32, base62)
	dir := tree(t, map[string]string{
		"a-" + key + "/b.env": planted(), "c-" + key + ".env": planted(), "\x1b[31mred.env": planted(), "new\nline.env": planted(), "plain_Name2-v1.env": planted(),
	})
	r, err := scan.Dir(t.Context(), dir, scan.Options{})
	want := []string{"?[31mred.env", "a-[redacted]/b.env", "c-[redacted].env", "new?line.env", "plain_Name2-v1.env"}
	if got := found(r); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
