package ndjson_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/plugins/examples/ndjson-file/ndjson"
)

func TestTheKindKeepsItsPromises(t *testing.T) {
	for _, more := range []string{"", "gzip: true\nmax_size: 65536\nkeep_files: 100\n"} {
		t.Run("with "+more, func(t *testing.T) {
			exportertest.Run(t, exportertest.Options{
				Kind: ndjson.Kind(),
				Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
					t.Helper()
					return backend(t, more, fault)
				},
				Page:    "../README.md",
				Classes: map[exportertest.Fault]exportertest.Class{exportertest.Absent: exportertest.Hold},
				Refused: map[string]string{
					"no folder":                "gzip: true\n",
					"a relative folder":        "folder: logs\n",
					"a name without a number":  "folder: /tmp\nname: windsock-{time}.ndjson\n",
					"a name without a time":    "folder: /tmp\nname: windsock-{seq}.ndjson\n",
					"two numbers":              "folder: /tmp\nname: '{seq}-{time}-{seq}'\n",
					"nothing between":          "folder: /tmp\nname: 'a-{time}{seq}.ndjson'\n",
					"a digit at the number":    "folder: /tmp\nname: 'a-{time}-1{seq}.ndjson'\n",
					"a name with a folder":     "folder: /tmp\nname: '../{time}-{seq}'\n",
					"a hidden name":            "folder: /tmp\nname: '.{time}-{seq}'\n",
					"a compressed name":        "folder: /tmp\nname: '{time}-{seq}.gz'\n",
					"a mode that is none":      "folder: /tmp\nmode: rw-r--r--\n",
					"a mode without the owner": "folder: /tmp\nmode: '0040'\n",
					"a mode to execute":        "folder: /tmp\nmode: '0755'\n",
					"a mode with more":         "folder: /tmp\nmode: '4640'\n",
					"a tiny size":              "folder: /tmp\nmax_size: 10\n",
					"a short age":              "folder: /tmp\nmax_age: 1ms\n",
					"a negative count":         "folder: /tmp\nkeep_files: -1\n",
					"a negative size":          "folder: /tmp\nkeep_bytes: -1\n",
				},
			})
		})
	}
}

// backend is a folder that misbehaves, as far as a folder can.
func backend(t *testing.T, more string, fault exportertest.Fault) (exportertest.Case, bool) {
	t.Helper()
	folder := t.TempDir()
	c := exportertest.Case{With: "folder: " + folder + "\n" + more}
	switch fault {
	case exportertest.Works:
	case exportertest.Absent:
		if err := os.Remove(folder); err != nil {
			t.Fatal(err)
		}
	case exportertest.Hangs: // another process writes and does not come to its end
		lock, err := os.Create(filepath.Join(folder, ".windsock-{time}-{seq}.ndjson.lock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lock.Close() })
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
	case exportertest.Unauthorized, exportertest.Forbidden, exportertest.NotFound, exportertest.TooLarge, exportertest.Refuses, exportertest.TooMany,
		exportertest.Broken, exportertest.Unavailable, exportertest.Redirects: // no folder does that
		return c, false
	}
	return c, true
}

func TestLinesAreTheRecordsThemselves(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	batch := exportertest.Records(60, 1)
	send(t, open(t, folder, "", nil), batch)
	var want strings.Builder
	for _, rec := range batch {
		line, err := rec.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		want.Write(append(line, '\n'))
	}
	if diff := cmp.Diff(want.String(), text(t, folder)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestARecordWithoutAJSONFormIsRejectedAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	batch := exportertest.Records(3, 1)
	batch[1] = checks.Record{ID: "01K"}
	outcome, err := open(t, folder, "", nil).Export(t.Context(), batch)
	want := []exporters.Rejection{{Index: 1, Reason: "no JSON form"}}
	if diff := cmp.Diff(want, outcome.Rejected); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got := ids(t, folder); len(got) != 2 {
		t.Errorf("wrote %v, want the other two", got)
	}
}

func TestABatchThatComesAgainIsThereOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	a, b, c := numbered(0, 10), numbered(10, 10), numbered(20, 10)
	e := open(t, folder, "", nil)
	first := send(t, e, a)
	second := send(t, e, b)
	send(t, e, b)     // its commit failed
	send(t, e, b[:4]) // in another cut
	send(t, e, append(b[4:10:10], c...))
	for name, state := range map[string][]byte{"the state before": first, "the state behind": second, "no state": nil, "a broken state": []byte("{")} {
		again := open(t, folder, "", state)
		if name != "the state behind" { // then it does not come again
			send(t, again, b)
		}
		send(t, again, c)
		if diff := cmp.Diff(idsOf(a, b, c), ids(t, folder)); diff != "" {
			t.Errorf("a new process with %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRecordsThatCannotBeToldApartAreAllWritten(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	bare := checks.Record{Report: &checks.Report{Check: "x"}}
	send(t, open(t, folder, "", nil), []checks.Record{bare, bare})
	if got := ids(t, folder); len(got) != 2 {
		t.Errorf("wrote %d lines, want 2", len(got))
	}
}

func TestAFileIsBegunAnewBySize(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e := open(t, folder, "max_size: 65536\nmode: '0604'", nil)
	for i := range 30 {
		send(t, e, numbered(i*10, 10))
	}
	if diff := cmp.Diff(idsOf(numberedAll(300)...), ids(t, folder)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	names := files(t, folder)
	if len(names) < 3 {
		t.Errorf("files %v, want several", names)
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Size() > 65536 || info.Size() == 0 || info.Mode() != 0o604 {
			t.Errorf("%s: %v bytes, mode %v, %v, want at most 65536 and -rw----r--", name, info.Size(), info.Mode(), err)
		}
	}
	send(t, e, numbered(1000, 500))
	if n := len(files(t, folder)); n != len(names)+1 {
		t.Errorf("a batch that is larger than a file made %d files, want one of its own", n-len(names))
	}
}

// numberedAll is n records in batches of ten.
func numberedAll(n int) [][]checks.Record {
	var all [][]checks.Record
	for i := 0; i < n; i += 10 {
		all = append(all, numbered(i, 10))
	}
	return all
}

func TestAFileIsBegunAnewByAge(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, folder, "max_age: 1h", nil)
		send(t, e, numbered(0, 1))
		time.Sleep(59 * time.Minute)
		send(t, e, numbered(1, 1))
		if n := len(files(t, folder)); n != 1 {
			t.Errorf("%d files after 59 minutes, want 1", n)
		}
		time.Sleep(time.Minute)
		again := open(t, folder, "max_age: 1h", nil) // the age is known in another process, too
		send(t, again, numbered(2, 1))
	})
	want := []string{"windsock-20000101T000000Z-000001.ndjson", "windsock-20000101T010000Z-000002.ndjson"}
	if diff := cmp.Diff(want, files(t, folder)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestOldFilesAreCompressedAndDeleted(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e := open(t, folder, "max_size: 4096\ngzip: true", nil)
	for i := range 20 {
		send(t, e, numbered(i*10, 10)) // a file each
	}
	waitFor(t, func() bool { return strings.HasSuffix(files(t, folder)[18], ".gz") })
	end(t, e)
	for _, name := range files(t, folder)[:19] {
		if !strings.HasSuffix(name, ".gz") {
			t.Errorf("%s is not compressed", name)
		}
	}
	if diff := cmp.Diff(idsOf(numberedAll(200)...), ids(t, folder)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	leftover := filepath.Join(folder, "windsock-20260101T000000Z-000003.ndjson.gz.tmp")
	foreign := filepath.Join(folder, "other-20260101T000000Z-000001.ndjson")
	for _, path := range []string{leftover, foreign} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept := open(t, folder, "max_size: 4096\ngzip: true\nkeep_files: 3", nil)
	send(t, kept, numbered(200, 10))
	waitFor(t, func() bool { return len(files(t, folder)) == 5 }) // three, the one that is written, and the foreign one
	for _, name := range files(t, folder) {
		if !strings.HasPrefix(name, "other-") && seq(name) < "000018" {
			t.Errorf("%s is kept, want the newest", name)
		}
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file of another: %v", err)
	}
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a compressing left: %v, want it gone", err)
	}
}

// waitFor waits for what happens beside an attempt.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not happen")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestTheOldestAreDeletedByBytes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e := open(t, folder, "max_size: 4096\nkeep_bytes: 30000", nil)
	for i := range 20 {
		send(t, e, numbered(i*10, 10))
	}
	waitFor(t, func() bool {
		var total int
		for _, name := range files(t, folder) {
			total += len(contents(t, filepath.Join(folder, name)))
		}
		return total <= 30000+16384 && len(files(t, folder)) < 8 // what was begun since has been written to
	})
	if got := ids(t, folder); got[len(got)-1] != idsOf(numbered(199, 1))[0] {
		t.Errorf("the last line is %s, want that of the last record", got[len(got)-1])
	}
}

func TestLinesInACompressedFileAreRecognised(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	with := "max_size: 4096\ngzip: true"
	e := open(t, folder, with, nil)
	state := send(t, e, numbered(0, 4))
	send(t, e, numbered(4, 10)) // a file of its own, not committed
	send(t, e, numbered(14, 10))
	waitFor(t, func() bool {
		names := files(t, folder)
		return len(names) == 3 && strings.HasSuffix(names[1], ".gz")
	})
	end(t, e)
	next := open(t, folder, with, state)
	send(t, next, numbered(4, 30))
	end(t, next)
	if diff := cmp.Diff(idsOf(numbered(0, 34)), ids(t, folder)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhoOpensTheFolderLastWritesIt(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	one, two := open(t, folder, "", nil), open(t, folder, "", nil)
	send(t, one, numbered(0, 5))
	send(t, two, numbered(5, 5))
	_, err := one.Export(t.Context(), numbered(10, 5))
	if !exporters.IsHold(err) || !strings.Contains(err.Error(), "give each a folder or a name of its own") {
		t.Errorf("the former writer: %v, want Hold", err)
	}
	send(t, two, numbered(10, 5))
	other := open(t, folder, "name: 'b-{time}-{seq}.ndjson'", nil)
	send(t, other, numbered(0, 1))
	send(t, two, numbered(15, 5))
	if err := os.Remove(filepath.Join(folder, ".windsock-{time}-{seq}.ndjson.lock")); err != nil {
		t.Fatal(err)
	}
	send(t, two, numbered(20, 5)) // somebody tidied up
}

func TestFoldersThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	links := t.TempDir()
	if err := os.Symlink(file, filepath.Join(links, ".windsock-{time}-{seq}.ndjson.lock")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(folder, "none"): "is not there: create it",
		file:                          "is no folder",
		links:                         "is a link",
	} {
		_, err := open(t, path, "", nil).Export(t.Context(), numbered(0, 1))
		if !exporters.IsHold(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want Hold: …%s…", path, err, want)
		}
	}
	if os.Geteuid() == 0 {
		return // may do everything
	}
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, folder, "", nil).Export(t.Context(), numbered(0, 1))
	if !exporters.IsHold(err) || !strings.Contains(err.Error(), "may not") {
		t.Errorf("no right: %v, want Hold", err)
	}
}

func TestAFolderThatComesBackIsWrittenAgain(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "lake")
	e := open(t, folder, "", nil)
	if _, err := e.Export(t.Context(), numbered(0, 5)); !exporters.IsHold(err) {
		t.Errorf("%v, want Hold", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	send(t, e, numbered(0, 5))
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	send(t, e, numbered(5, 5))
	if diff := cmp.Diff(idsOf(numbered(5, 5)), ids(t, folder)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// No file of the process may grow beyond a limit: what a full disk says, half-way through a write. The limit is a process's
// own, so that it is another process that meets it.
func TestAFullDiskLeavesWholeBatches(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cmd := again(t, asCramped+"="+folder)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if diff := cmp.Diff(idsOf(numbered(0, 20)), ids(t, folder)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// cramped is the process that meets a limit, and then none.
func cramped(folder string) error {
	e, err := ndjson.Kind().New(exportertest.Decoder("folder: "+folder, ""), exporters.Env{})
	if err != nil {
		return err
	}
	if _, err := e.Export(context.Background(), numbered(0, 10)); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(folder, "*.ndjson"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("files %v: %w", found, err)
	}
	before, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(len(before)) + 1000, Max: old.Max}); err != nil {
		return err
	}
	_, full := e.Export(context.Background(), numbered(10, 10))
	if exportertest.ClassOf(full) != exportertest.Retry || !errors.Is(full, syscall.EFBIG) || !strings.Contains(full.Error(), "no room") {
		return fmt.Errorf("want Retry, no room: %w", full)
	}
	if after, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(before, after) {
		return fmt.Errorf("%d bytes stay, want the %d before: %w", len(after), len(before), err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	_, err = e.Export(context.Background(), numbered(10, 10))
	return err
}

func TestASmallFileSystem(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	e := open(t, folder, "max_size: 16384", nil)
	t.Cleanup(func() { end(t, e) })
	n := 0
	var err error
	for ; n < 1000 && err == nil; n += 10 {
		_, err = e.Export(t.Context(), numbered(n, 10))
	}
	if exportertest.ClassOf(err) != exportertest.Retry || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("after %d records: %v, want Retry: no space", n, err)
	}
	if diff := cmp.Diff(idsOf(numbered(0, n-10)), ids(t, folder)); diff != "" {
		t.Errorf("on the full disk (-want +got):\n%s", diff)
	}
	if err := os.Remove(filepath.Join(folder, files(t, folder)[0])); err != nil {
		t.Fatal(err)
	}
	send(t, e, numbered(n-10, 10))
	if got := ids(t, folder); got[len(got)-1] != idsOf(numbered(n-1, 1))[0] {
		t.Errorf("with room again the last is %s", got[len(got)-1])
	}
	if err := unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err == nil {
		t.Error("the file system could be made read-only while a file is open for writing")
	}
}

func TestTheEndOfACrashIsRepaired(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e := open(t, folder, "", nil)
	a, b := numbered(0, 3), numbered(3, 3)
	state := send(t, e, a)
	acknowledged := text(t, folder)
	send(t, e, b)
	end(t, e)
	whole := text(t, folder)
	name := files(t, folder)[0]
	for at := len(acknowledged); at <= len(whole); at++ {
		if edge := whole[max(at-2, 0):min(at+1, len(whole))]; at%53 != 0 && !strings.Contains(edge, "\n") {
			continue // an fsync each: every line's edges, and some places within
		}
		for what, rest := range map[string]string{"": "", " and zeros": strings.Repeat("\x00", 64), " and zeros with line feeds": "\x00\x00\n\x00\n"} {
			crashed := copyFolder(t, folder)
			if err := os.WriteFile(filepath.Join(crashed, name), []byte(whole[:at]+rest), 0o600); err != nil {
				t.Fatal(err)
			}
			again := open(t, crashed, "", state)
			send(t, again, b)
			if got := text(t, crashed); got != whole {
				t.Fatalf("cut at %d%s: (-want +got):\n%s", at, what, cmp.Diff(whole, got))
			}
			end(t, again)
		}
	}
	for _, kept := range [][]byte{nil, state} { // also where the state is lost, or the file is shorter than it says
		crashed := copyFolder(t, folder)
		if err := os.WriteFile(filepath.Join(crashed, name), []byte(whole[:len(acknowledged)-20]), 0o600); err != nil {
			t.Fatal(err)
		}
		send(t, open(t, crashed, "", kept), append(a[2:3:3], b...))
		if got := text(t, crashed); got != whole {
			t.Errorf("a short file with state %q: (-want +got):\n%s", kept, cmp.Diff(whole, got))
		}
	}
}

func TestLinesOfOthersStay(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "windsock-20260101T000000Z-000041.ndjson")
	if err := os.WriteFile(path, []byte("not of ours\n{\"id\":\"x\"}\nhalf"), 0o600); err != nil {
		t.Fatal(err)
	}
	send(t, open(t, folder, "max_age: 0s", nil), numbered(0, 1))
	if got := contents(t, path); !bytes.HasPrefix(got, []byte("not of ours\n{\"id\":\"x\"}\n{\"type\":\"report\"")) {
		t.Errorf("%.80q, want the whole lines, then ours", got)
	}
	send(t, open(t, folder, "max_age: 1h", nil), numbered(1, 1))
	if got := files(t, folder); len(got) != 2 || seq(got[1]) != "000042" {
		t.Errorf("files %v, want number 42 next", got)
	}
}
