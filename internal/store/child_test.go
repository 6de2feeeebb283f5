package store_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

// TestMain lets the test binary be its own child: a process that can be killed, and whose limits are its own.
func TestMain(m *testing.M) {
	mode := flag.String("child", "", "what to do instead of testing")
	dir := flag.String("dir", "", "the state directory of the child")
	flag.Parse()
	if *mode == "" {
		m.Run()
		return
	}
	out := os.NewFile(3, "answers")
	if err := child(*mode, *dir, out); err != nil {
		fmt.Fprintf(out, "error %v\n", err)
	}
}

func child(mode, dir string, out io.Writer) error {
	signal.Ignore(syscall.SIGXFSZ) // what a limit on file sizes is told with; the write fails all the same
	run, ok := map[string]func(context.Context, string, io.Writer) error{
		"append": appendUntilKilled, "compact full": compactOnAFullDisk, "compact": compactUntilKilled, "backup": backUp, "slow backup": backUpSlowly, "roll": rollUntilKilled, "reserve": reserveUntilKilled, "hold": holdUntilKilled,
		"full": fullWhileRunning, "judge": judgeUntilKilled, "drain": drainUntilKilled, "spare": spareUntilKilled, "spare again": spareAgainUntilKilled, "spare late": spareLateUntilKilled, "spare short": spareShortUntilKilled, "spare big": spareBigUntilKilled, "unrecorded": unrecorded, "full at start": fullAtStart, "no mark": fullWithoutMark,
	}[mode]
	if !ok {
		return fmt.Errorf("no child %q", mode)
	}
	return run(context.Background(), dir, out)
}

// spawn starts the test binary as a child; what it says comes line by line.
func spawn(tb testing.TB, mode, dir string) (*exec.Cmd, *bufio.Scanner) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), exe, "-child", mode, "-dir", dir)
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = w.Close()
	tb.Cleanup(func() { _ = r.Close() })
	return cmd, bufio.NewScanner(r)
}

// runToEnd fails the test with what the child has to say, and returns its other lines.
func runToEnd(t *testing.T, mode, dir string) []string {
	t.Helper()
	cmd, lines := spawn(t, mode, dir)
	var said []string
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "error") {
			t.Error(lines.Text())
		}
		said = append(said, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
	if len(said) == 0 || said[len(said)-1] != "done" {
		t.Errorf("the child did not come to its end: %q", said)
	}
	return said
}

func kill(t *testing.T, cmd *exec.Cmd, lines *bufio.Scanner) (rest []string) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	_ = cmd.Wait()
	return rest
}

// appendUntilKilled says "writer id" for each record that the store took.
func appendUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for {
				batch := reports(1 + w)
				if err := s.Append(ctx, batch...); err != nil {
					fmt.Fprintf(out, "error %v\n", err)
					return
				}
				mu.Lock()
				for _, r := range batch {
					fmt.Fprintf(out, "%d %s\n", w, r.ID)
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	return nil
}

func TestKilledInTheMiddleOfAWriteNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acknowledged [4][]string
	take := func(line string) {
		var w int
		var id string
		if _, err := fmt.Sscanf(line, "%d %s", &w, &id); err == nil && len(id) == 26 {
			acknowledged[w] = append(acknowledged[w], id)
		} else if strings.HasPrefix(line, "error") {
			t.Error(line)
		}
	}
	for range 30 {
		cmd, lines := spawn(t, "append", dir)
		for n := 1 + rand.IntN(120); n > 0 && lines.Scan(); n-- {
			take(lines.Text())
		}
		for _, line := range kill(t, cmd, lines) {
			take(line)
		}
	}
	s := open(t, store.Options{Dir: dir})
	if h := s.Health(); !h.OK || h.CorruptMoved != "" {
		t.Fatalf("health after 30 kills: %+v", h)
	}
	if !s.Unclean() {
		t.Error("after a kill: Unclean is false, want true")
	}
	stored, lost := drain(t, s, 0)
	place := map[string]int{}
	for i, id := range stored {
		place[id] = i + 1
	}
	if len(place) != len(stored) || lost != 0 {
		t.Errorf("%d records, %d ids, %d lost", len(stored), len(place), lost)
	}
	for w, ids := range acknowledged {
		last := 0
		for _, id := range ids {
			if place[id] <= last {
				t.Fatalf("writer %d: record %s stands at %d, after %d", w, id, place[id], last)
			}
			last = place[id]
		}
	}
	t.Logf("%d records, %d of them acknowledged by writer 0", len(stored), len(acknowledged[0]))
}

func claim(id string, amount checks.PicoUSD, at time.Time) store.Claim {
	return store.Claim{ID: id, Check: "chat", Provider: "mistral", Model: "m", Trigger: checks.TriggerSchedule, Amount: amount, At: at}
}

// reserveUntilKilled reserves 10 for each run and books 3, and says both.
func reserveUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir, BootID: "one"})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		if _, ok, err := s.Ledger().Reserve(ctx, claim(id, 10, noon()), nil); err != nil || !ok {
			return fmt.Errorf("reserving: %v, %w", ok, err)
		}
		fmt.Fprintln(out, "reserved")
		if err := s.Ledger().Book(ctx, id, &checks.Usage{Cost: 3}); err != nil {
			return err
		}
		fmt.Fprintln(out, "booked")
	}
}

func TestKilledBetweenReserveAndBookTheWorstCaseCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var least, most checks.PicoUSD
	for range 15 {
		cmd, lines := spawn(t, "reserve", dir)
		var said []string
		for n := 1 + rand.IntN(40); n > 0 && lines.Scan(); n-- {
			said = append(said, lines.Text())
		}
		said = append(said, kill(t, cmd, lines)...)
		reserved, booked := checks.PicoUSD(0), checks.PicoUSD(0)
		for _, line := range said {
			switch line {
			case "reserved":
				reserved++
			case "booked":
				booked++
			default:
				t.Error(line)
			}
		}
		// One booking, or one more reservation, may have been made without being told.
		least += 3*booked + 3*(reserved-booked)
		most += 3*booked + 10*(reserved-booked)
		if reserved == booked {
			most += 10
		}
	}
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	got, err := s.Ledger().Spent(t.Context(), noon(), noon().Add(time.Hour)) // of some only the hour is known
	if err != nil || got < least || got > most {
		t.Errorf("spent %d, %v; want %d to %d", got, err, least, most)
	}
}

// holdUntilKilled reserves and never books.
func holdUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir, BootID: "one"})
	if err != nil {
		return err
	}
	_, ok, err := s.Ledger().Reserve(ctx, claim("held", 10, noon()), nil)
	fmt.Fprintln(out, ok, err)
	select {}
}

func TestAReservationOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "hold", dir)
	if lines.Scan(); lines.Text() != "true <nil>" {
		t.Fatalf("the child said %q", lines.Text())
	}
	var locked *store.LockedError
	if _, err := store.Open(t.Context(), store.Options{Dir: dir}); !errors.As(err, &locked) || locked.PID != cmd.Process.Pid {
		t.Errorf("error %v, want LockedError with pid %d", err, cmd.Process.Pid)
	}
	kill(t, cmd, lines)
	s := open(t, store.Options{Dir: dir, BootID: "one"}) // a dead holder's lock is free
	denial, ok, err := s.Ledger().Reserve(t.Context(), claim("next", 1, noon().Add(time.Minute)), []store.Limit{{time.Hour, "per_hour", 10}})
	if ok || err != nil || denial.Spent != 10 {
		t.Errorf("reserved %v, %v, %+v; want a denial with 10 spent", ok, err, denial)
	}
}
