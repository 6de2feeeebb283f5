package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// spareUntilKilled makes steps that the database cannot take, and says what it was told of.
func spareUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	if _, err := s.Cursor(ctx, "pager", false); err != nil {
		return err
	}
	if err := judge(s, "old", 1)(ctx); err != nil {
		return err
	}
	if err := limitFiles(1 << 20); err != nil { // what is there can be written, and does not grow
		return err
	}
	for n := 0; s.Health().OK; n++ {
		if err := s.Append(ctx, reports(100)...); err != nil {
			return err
		}
	}
	if err := judge(s, "new", 7)(ctx); err != nil {
		return err
	}
	if err := s.Begin(0, map[string][]byte{"alert/old": nil})(ctx); err != nil {
		return err
	}
	var end delivery.Position
	err = s.Each(ctx, 0, func(e delivery.Entry) error { end = e.Pos; return nil })
	if err != nil {
		return err
	}
	if err := s.Commit(ctx, "pager", delivery.Cursor{Pos: end, State: []byte("told of new")}, delivery.Counts{Sent: 1}); err != nil {
		return err
	}
	if err := s.SaveState(ctx, "check/a", []byte("can be measured again")); err != nil {
		return err
	}
	fmt.Fprintln(out, "kept", end)
	<-ctx.Done()
	return nil
}

// TestWhatPeopleWereToldOutlivesAProcessThatCouldNotWrite: killed while the database does not take any more, the next
// process knows which alerts are open and who was told of them.
func TestWhatPeopleWereToldOutlivesAProcessThatCouldNotWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "spare", dir)
	var end delivery.Position
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "kept %d", &end); err == nil || strings.HasPrefix(lines.Text(), "error") {
			break
		}
	}
	kill(t, cmd, lines)
	if end == 0 {
		t.Fatal("nothing was kept")
	}
	for range 2 { // from the spare file, then from the database
		s := open(t, store.Options{Dir: dir})
		same(t, "alerts", s.States("alert/"), map[string][]byte{"new": []byte("7"), "old/odd": []byte("odd"), "new/odd": []byte("odd")})
		c, err := s.Cursor(t.Context(), "pager", false)
		if err != nil || string(c.State) != "told of new" || c.Pos != end {
			t.Errorf("cursor %+v, %v; want that of before at %d", c, err, end)
		}
		shut(t, s)
	}
	s := open(t, store.Options{Dir: dir})
	add(t, s, reports(1)...)
	if got, _, err := read(t.Context(), s, end); err != nil || len(got) != 1 {
		t.Errorf("records after %d: %v, %v; want the new one", end, got, err)
	}
	shut(t, s)
}

// TestTheSpareFileIsNotReadTwice: what the database has learned since is newer, even where the file could not be cleared.
func TestTheSpareFileIsNotReadTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "spare", dir)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "kept") {
	}
	kill(t, cmd, lines)
	old, err := os.ReadFile(filepath.Join(dir, "windsock.spare"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, store.Options{Dir: dir})
	if err := s.Begin(0, map[string][]byte{"alert/new": []byte("8")})(t.Context()); err != nil {
		t.Error(err)
	}
	shut(t, s)
	if err := os.WriteFile(filepath.Join(dir, "windsock.spare"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir})
	if got := string(s.States("alert/")["new"]); got != "8" {
		t.Errorf("state %q, want what the database was told last", got)
	}
	shut(t, s)
	for _, name := range []string{"windsock.db", "windsock.db-wal", "windsock.db-shm"} { // somebody begins anew
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	s = open(t, store.Options{Dir: dir})
	same(t, "states in a new database", s.States(""), map[string][]byte{})
	shut(t, s)
}

// TestADamagedSpareFileIsPassedOver: it never keeps the store from starting.
func TestADamagedSpareFileIsPassedOver(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "zeros": strings.Repeat("\x00", 1<<20), "text": "hello world\n", "wrong sum": "00000000 {\"number\":9e15}\n",
		"cut": "1234567", "no line": "12345678 {",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "windsock.spare"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, store.Options{Dir: dir})
			add(t, s, reports(3)...)
			if h := s.Health(); !h.OK || len(s.States("")) != 0 {
				t.Errorf("%+v, states %v", h, s.States(""))
			}
			shut(t, s)
		})
	}
}

// spareAgainUntilKilled takes over, has that written as it opens, and can write no more.
func spareAgainUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	expect(out, s.Health().OK, "health %+v", s.Health())
	if err := limitFiles(room); err != nil {
		return err
	}
	if err := judge(s, "again", 9)(ctx); err != nil {
		return err
	}
	expect(out, !s.Health().OK, "the database took it")
	fmt.Fprintln(out, "kept")
	<-ctx.Done()
	return nil
}

// TestADiskThatFailsAgainAtOnceIsAnEpisodeOfItsOwn: the database knows the number of the one before.
func TestADiskThatFailsAgainAtOnceIsAnEpisodeOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, mode := range []string{"spare", "spare again"} {
		cmd, lines := spawn(t, mode, dir)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "kept") {
			t.Error(lines.Text())
		}
		kill(t, cmd, lines)
	}
	s := open(t, store.Options{Dir: dir})
	if got := s.States("alert/"); string(got["new"]) != "7" || string(got["again"]) != "9" {
		t.Errorf("states %q, want those of both episodes", got)
	}
	shut(t, s)
}

// spareLateUntilKilled can write nothing at first, and then the spare file alone.
func spareLateUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := limitFiles(noRoom); err != nil {
		return err
	}
	if err := judge(s, "late", 5)(ctx); err != nil {
		return err
	}
	if err := limitFiles(room); err != nil {
		return err
	}
	if err := s.Append(ctx, reports(1)...); err != nil {
		return err
	}
	expect(out, !s.Health().OK, "the database took it")
	fmt.Fprintln(out, "kept")
	<-ctx.Done()
	return nil
}

// TestTheSpareFileIsTriedAgain: what it could not take at first it takes with the next record, though no alert moves.
func TestTheSpareFileIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "spare late", dir)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "kept") {
		t.Error(lines.Text())
	}
	kill(t, cmd, lines)
	s := open(t, store.Options{Dir: dir})
	same(t, "alerts", s.States("alert/"), map[string][]byte{"late": []byte("5"), "late/odd": []byte("odd")})
	shut(t, s)
}

// spareShortUntilKilled starts where there is hardly any room.
func spareShortUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	if err := limitFiles(room); err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := judge(s, "short", 3)(ctx); err != nil {
		return err
	}
	expect(out, !s.Health().OK, "the database took it")
	fmt.Fprintln(out, "kept")
	<-ctx.Done()
	return nil
}

// TestWhereThereIsNoRoomToTakeTheSpareFileHoldsWhatFits, as a disk that is nearly full has room for a few alerts.
func TestWhereThereIsNoRoomToTakeTheSpareFileHoldsWhatFits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "spare short", dir)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "kept") {
		t.Error(lines.Text())
	}
	kill(t, cmd, lines)
	s := open(t, store.Options{Dir: dir})
	same(t, "alerts", s.States("alert/"), map[string][]byte{"short": []byte("3"), "short/odd": []byte("odd")})
	shut(t, s)
}

// spareBigUntilKilled has one state that the spare file is too small for.
func spareBigUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := limitFiles(room); err != nil {
		return err
	}
	if err := s.Begin(0, map[string][]byte{"incident/big": make([]byte, 1<<20), "alert/small": []byte("1")})(ctx); err != nil {
		return err
	}
	if err := s.Commit(ctx, "pager", delivery.Cursor{State: []byte("told")}, delivery.Counts{}); err != nil {
		return err
	}
	expect(out, !s.Health().OK, "the database took it")
	fmt.Fprintln(out, "kept")
	<-ctx.Done()
	return nil
}

// TestWhatIsTooBigForTheSpareFileTakesNobodysRoom: it is left out alone.
func TestWhatIsTooBigForTheSpareFileTakesNobodysRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "spare big", dir)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "kept") {
		t.Error(lines.Text())
	}
	kill(t, cmd, lines)
	s := open(t, store.Options{Dir: dir})
	same(t, "states", s.States(""), map[string][]byte{"alert/small": []byte("1")})
	if c, err := s.Cursor(t.Context(), "pager", false); err != nil || string(c.State) != "told" {
		t.Errorf("cursor %+v, %v", c, err)
	}
	shut(t, s)
}
