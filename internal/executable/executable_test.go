//go:build linux

package executable_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/windsock-monitor/windsock/internal/executable"
	"github.com/windsock-monitor/windsock/internal/spawn/spawntest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	must(t, os.Mkdir(path, 0o700))
	must(t, os.Chmod(path, mode))
	return path
}

func file(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	spawntest.Write(t, filepath.Dir(path), filepath.Base(path), "#!/bin/sh\n")
	must(t, os.Chmod(path, mode))
	return path
}

// fault opens what must not be opened, and returns why.
func fault(t *testing.T, path, allowed string, o executable.Options) *executable.Error {
	t.Helper()
	f, err := executable.Open(path, allowed, o)
	if err == nil {
		_ = f.Close()
		t.Fatalf("%q was taken", path)
	}
	e, ok := errors.AsType[*executable.Error](err)
	if !ok {
		t.Fatalf("got %T, want an *Error", err)
	}
	return e
}

func TestFilesThatMayNotBeRun(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	good := file(t, dir+"/good", 0o755)
	must(t, os.Symlink(good, dir+"/absolute"))
	must(t, os.Symlink("good", dir+"/relative"))
	must(t, os.Symlink("circle", dir+"/circle"))
	must(t, os.Symlink(".", dir+"/here"))
	must(t, syscall.Mkfifo(dir+"/pipe", 0o700))
	within := file(t, folder(t, dir+"/open", 0o755)+"/p", 0o755)
	must(t, os.Chmod(dir+"/open", 0o777))
	for name, tc := range map[string]struct {
		path, at string
		kind     executable.Kind
		words    string
	}{
		"missing":               {dir + "/none", dir + "/none", executable.Missing, "is missing"},
		"below a file":          {good + "/x", good, executable.Missing, "is missing"},
		"a link":                {dir + "/absolute", dir + "/absolute", executable.Link, `link to "` + good + `": write that path`},
		"a relative link":       {dir + "/relative", dir + "/relative", executable.Link, `link to "` + good + `": write that path`},
		"a link of a folder":    {dir + "/here/good", dir + "/here", executable.Link, `link to "` + dir + `": write that path`},
		"a link to itself":      {dir + "/circle", dir + "/circle", executable.Link, "symbolic link"},
		"a directory":           {dir + "/open", dir + "/open", executable.Directory, "is a directory"},
		"a pipe":                {dir + "/pipe", dir + "/pipe", executable.Special, "not a regular file"},
		"not executable":        {file(t, dir+"/plain", 0o644), dir + "/plain", executable.NotExecutable, "is not executable (mode 0644)"},
		"writable":              {file(t, dir+"/world", 0o757), dir + "/world", executable.Writable, "others can write"},
		"in a writable folder":  {within, dir + "/open", executable.Writable, "(mode 0777)"},
		"relative":              {"good", "good", executable.Outside, "not an absolute path"},
		"not in its short form": {dir + "/open/../good", dir + "/open/../good", executable.Outside, "shortest form"},
		"the root":              {"/", "/", executable.Outside, "not in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := fault(t, tc.path, "", executable.Options{})
			if e.Kind != tc.kind || e.Path != tc.at || !strings.Contains(e.Error(), tc.words) {
				t.Errorf("got %q of %q: %v, want %q of %q with %q", e.Kind, e.Path, e, tc.kind, tc.at, tc.words)
			}
		})
	}
	if e := fault(t, good, dir+"/open", executable.Options{}); e.Kind != executable.Outside || !e.Kind.Refused() {
		t.Errorf("got %v, want it outside", e)
	}
}

// Who reads a program to run it is told what to do about one that may not be.
func TestTheWayOutIsSaid(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	for path, want := range map[string]string{
		dir + "/none":                   "/none\" is missing; put the program there, or correct the path",
		file(t, dir+"/plain", 0o644):    "(mode 0644); chmod 0755 " + dir + "/plain makes it so",
		file(t, dir+"/world", 0o757):    "(mode 0757); chmod go-w " + dir + "/world takes that from them",
		folder(t, dir+"/folder", 0o755): "is a directory; write the path of the program",
	} {
		f, err := executable.Read(path)
		if err == nil {
			_ = f.Close()
		}
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f, err := executable.Read(file(t, dir+"/good", 0o755))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

func TestAFileOfAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := file(t, spawntest.Dir(t)+"/p", 0o755)
	must(t, os.Chown(path, 54321, 0))
	if e := fault(t, path, "", executable.Options{}); e.Kind != executable.Owner || !strings.Contains(e.Text, "belongs to user 54321") {
		t.Errorf("got %v", e)
	}
}

func TestAFileThatMayBeRun(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	path := file(t, folder(t, dir+"/d", 0o755)+"/p", 0o755)
	must(t, os.Symlink("d", dir+"/e"))
	for asked, o := range map[string]executable.Options{path: {}, dir + "/e/p": {Links: true}} {
		f, err := executable.Open(asked, dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if f.Path != path || !f.Script || f.Interpreter != "/bin/sh" {
			t.Errorf("got %+v, want the script %s", f, path)
		}
		must(t, os.Rename(path, path+".old")) // what was opened stays what it is
		file(t, path, 0o755)
		r, err := f.Reader()
		must(t, err)
		text, err := io.ReadAll(r)
		old, _ := os.Stat(path + ".old")
		now, _ := r.Stat()
		if err != nil || string(text) != "#!/bin/sh\n" || !os.SameFile(old, now) {
			t.Errorf("got %q, %v, want the file that was opened", text, err)
		}
		must(t, errors.Join(r.Close(), f.Close()))
	}
}
