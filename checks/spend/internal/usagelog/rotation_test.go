package usagelog_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/checks/spend/internal/usagelog"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// wait moves the clock.
func (w *world) wait(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) move(from, to string) {
	w.t.Helper()
	w.must(os.Rename(from, to))
}

// copy makes a copy as logrotate's copytruncate does.
func (w *world) copy(from, to string) {
	w.t.Helper()
	data, err := os.ReadFile(from)
	w.must(err)
	w.must(os.WriteFile(to, data, 0o600))
	w.touch(to)
}

// whole checks that nothing is missing but what the reading was begun with.
func (w *world) whole(r source.Reading) {
	w.t.Helper()
	if len(r.Notes) > 0 {
		w.t.Errorf("got %q, want nothing missing", r.Notes)
	}
}

func TestRotationByRename(t *testing.T) {
	t.Parallel()
	for name, rotated := range map[string]string{
		"logrotate": "usage.log.1", "logrotate by date": "usage.log-20261120", "lumberjack": "usage-2026-11-20T12-01-00.000.log",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write(w.path, w.at(time.Minute, 1))
			w.month(w.good(), 1, 1)
			w.wait(time.Minute)
			w.write(w.path, w.at(0, 10))
			w.move(w.path, w.beside(rotated))
			w.wait(time.Second)
			w.write(w.path, w.at(0, 100))
			r := w.good()
			w.month(r, 3, 111)
			w.whole(r)

			w.wait(time.Second)
			w.write(w.beside(rotated), w.at(0, 1000)) // by a process that has not opened it again yet
			w.write(w.path, w.at(0, 10_000))
			w.month(w.good(), 5, 11_111)
			w.wait(time.Hour)
			w.write(w.path, w.at(0, 100_000))
			w.month(w.good(), 6, 111_111)
			w.must(os.Remove(w.beside(rotated)))
			r = w.good()
			w.month(r, 6, 111_111)
			w.whole(r)
		})
	}
}

func TestALogThatIsMovedAwayAndNotYetThereAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(0, 1))
	w.month(w.good(), 1, 1)
	w.write(w.path, w.at(0, 10))
	w.move(w.path, w.beside("usage.log.1"))
	r := w.good()
	w.month(r, 2, 11)
	w.whole(r)
	w.wait(time.Minute)
	w.write(w.path, w.at(0, 100))
	r = w.good()
	w.month(r, 3, 111)
	w.whole(r)
}

func TestSeveralRotationsBetweenTwoReadings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.beside("usage.log.9"), w.at(48*time.Hour, 7)) // older than what was ever read
	w.wait(time.Minute)
	w.write(w.path, w.at(0, 1))
	w.month(w.good(), 1, 1)
	w.write(w.path, w.at(0, 10))
	w.wait(time.Hour)
	w.move(w.path, w.beside("usage.log.2"))
	w.write(w.beside("usage.log.1"), w.at(0, 100))
	w.write(w.beside("usage.log.bak"), w.at(0, 5)) // nobody's rotation
	w.write(w.beside("usage-errors.log"), w.at(0, 5))
	w.copy(w.beside("usage.log.2"), w.beside("usage.log.3")) // the same again
	w.wait(time.Hour)
	w.write(w.path, w.at(0, 1000))
	r := w.good()
	w.month(r, 4, 1111)
	w.whole(r)
	w.month(w.good(), 4, 1111)
}

func TestRotationByCopyAndTruncation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(time.Minute, 1))
	w.month(w.good(), 1, 1)
	w.write(w.path, w.at(0, 10))
	w.copy(w.path, w.beside("usage.log.1"))
	w.must(os.Truncate(w.path, 0))
	w.wait(time.Minute)
	r := w.good()
	w.month(r, 2, 11)
	w.whole(r)
	// The next ends when more was written than had been read before: only the beginning tells.
	w.write(w.path, w.at(0, 100))
	w.month(w.good(), 3, 111)
	w.copy(w.path, w.beside("usage.log.1"))
	w.must(os.Truncate(w.path, 0))
	w.wait(time.Minute)
	w.write(w.path, w.at(0, 1000), w.at(0, 10_000), w.at(0, 100_000))
	r = w.good()
	w.month(r, 6, 111_111)
	w.whole(r)
}

func TestATruncationWithoutACopyIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(2*time.Hour, 1), w.at(0, 10))
	w.month(w.good(), 2, 11)
	w.must(os.Truncate(w.path, 0))
	w.wait(time.Minute)
	w.write(w.path, w.at(0, 100))
	r := w.good()
	w.month(r, 3, 111)
	if r.Confidence != source.Partial || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "gone before they were read") || r.Hour != nil {
		t.Errorf("got %+v", r)
	}
}

// A writer that does not append goes on where it was: before that there is a hole.
func TestAHoleAfterATruncation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(2*time.Hour, 1))
	w.month(w.good(), 1, 1)
	f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
	w.must(err)
	const at = 5 << 20
	w.copy(w.path, w.beside("usage.log.1"))
	w.must(os.Truncate(w.path, 0))
	_, err = f.WriteAt([]byte(w.at(0, 10)+w.at(0, 100)), at)
	w.must(err)
	w.must(f.Close())
	w.touch(w.path)
	r := w.good()
	w.month(r, 3, 111)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "runs of NUL bytes") {
		t.Errorf("got %q", r.Notes)
	}
}

func TestDeletedAndMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(2*time.Hour, 1), w.at(time.Minute, 10))
	w.month(w.good(), 2, 11)
	w.must(os.Remove(w.path))
	w.wait(time.Minute)
	w.write(w.path, w.at(0, 100), w.at(0, 1000), w.at(0, 10_000))
	r := w.good()
	w.month(r, 5, 11_111)
	if r.Confidence != source.Partial || len(r.Notes) != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestDeletedForGoodIsNotZero(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(0, 1))
	w.month(w.good(), 1, 1)
	w.must(os.Remove(w.path))
	w.wait(2 * time.Hour)
	r := w.good()
	if r.Hour != nil || sum(r.Month) != [2]int64{1, 1} || r.Confidence != source.Partial {
		t.Errorf("got %+v", r)
	}
}

// dying is a state that is not kept, as where the process is killed before the check's memory is written.
type dying struct{ *memory }

func (dying) Save([]byte) {}

func TestAKillLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	luck := rand.New(rand.NewPCG(1, 2))
	requests, prompt, rotations := int64(1), int64(1), 0
	w.write(w.path, w.at(0, 1))
	w.good()
	for step := range 300 {
		w.wait(time.Duration(luck.IntN(30)) * time.Second)
		switch luck.IntN(6) {
		case 0:
			rotations++
			w.move(w.path, w.beside(fmt.Sprintf("usage.log.%d", rotations)))
			w.write(w.path, w.at(0, step)) // a file that tells itself from others
			requests, prompt = requests+1, prompt+int64(step)
		case 1:
			l, err := usagelog.New(w.params, usagelog.Options{Prices: w.prices, State: dying{w.state}})
			w.must(err)
			_, err = l.Read(t.Context(), w.now)
			w.must(err)
			continue
		default:
			for range luck.IntN(5) {
				w.write(w.path, w.at(0, step))
				requests, prompt = requests+1, prompt+int64(step)
			}
		}
		if luck.IntN(3) > 0 {
			continue
		}
		r := w.good()
		w.month(r, requests, prompt)
		w.whole(r)
	}
}

// counting ends a run when it has priced enough.
type counting struct {
	flat
	until  int
	cancel context.CancelFunc
}

func (c *counting) Cost(u pricing.Usage, model string, at time.Time) (checks.PicoUSD, bool) {
	if c.until--; c.until == 0 {
		c.cancel()
	}
	return c.flat.Cost(u, model, at)
}

func TestARunThatEndsIsTakenUpByTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 40_000
	line := w.at(0, 1)
	w.write(w.path, strings.Repeat(line, n))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := usagelog.New(w.params, usagelog.Options{Prices: &counting{until: 1000, cancel: cancel}, State: w.state})
	w.must(err)
	r, err := l.Read(ctx, w.now)
	w.must(err)
	if r.Month == nil || r.Month.Requests == n || r.Month.Requests < 1000 || r.Hour != nil || r.Confidence != source.Partial || !strings.Contains(r.Why, "MB behind") {
		t.Errorf("got %+v, %s", r.Month, r.Why)
	}
	r = w.good()
	w.month(r, n, n)
	if r.Confidence == source.Exact || strings.Contains(r.Why, "behind") {
		t.Errorf("got %s, %s", r.Confidence, r.Why)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := l.Read(ctx, w.now); err == nil {
		t.Error("a run that is over before it begins gives numbers")
	}
}

func TestLongNamesBesideTheLogAreNoTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(0, 1))
	w.write(w.beside("usage"+strings.Repeat("x", 200)), "x")
	w.must(os.Mkdir(w.beside("usage.log.d"), 0o700))
	w.must(os.Symlink(w.path, w.beside("usage.log.3")))
	w.month(w.good(), 1, 1)
	w.move(w.path, w.beside("usage.log.1"))
	w.write(w.path, w.at(0, 10))
	w.month(w.good(), 2, 11)
}
