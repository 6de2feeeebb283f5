package store_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// transition is the record of the n-th change of a rule.
func transition(rule string, n int) checks.Record {
	return checks.Record{ID: ulid.Make().String(), At: time.Now(), Alert: &checks.Alert{
		Rule: rule, State: checks.AlertFiring, At: time.Now(), Since: time.Now(), Value: float64(n),
	}}
}

// judge is one step: a report, the change of a rule that follows from it, and the state that says so.
func judge(s *store.Store, rule string, n int) (wait func(context.Context) error) {
	states := map[string][]byte{"alert/" + rule: []byte(strconv.Itoa(n)), "alert/" + rule + "/odd": nil}
	if n%2 == 1 {
		states["alert/"+rule+"/odd"] = []byte("odd")
	}
	return s.Begin(0, states, report(rule, time.Now()), transition(rule, n))
}

// agree fails the test where the states are not those of the last change that is kept, and tells how many there are. With
// gaps the disk failed in between: records of that time may be lost, and the states are newer than those that are kept.
func agree(t *testing.T, s *store.Store, gaps bool) int {
	t.Helper()
	last, reports, all := map[string]int{}, map[string]int{}, 0
	err := s.Each(t.Context(), 0, func(e delivery.Entry) error {
		switch {
		case e.Record.Report != nil:
			reports[e.Record.Report.Check]++
		case e.Record.Alert != nil:
			a := e.Record.Alert
			all++
			got := int(a.Value)
			if got != last[a.Rule]+1 && (!gaps || got <= last[a.Rule]) || !gaps && reports[a.Rule] != got {
				t.Errorf("%s: change %d after %d, with %d reports", a.Rule, got, last[a.Rule], reports[a.Rule])
			}
			last[a.Rule] = got
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	if gaps {
		for rule, state := range s.States("alert/") {
			if n, err := strconv.Atoi(string(state)); err == nil {
				last[rule] = max(last[rule], n)
			}
		}
	}
	for rule, n := range last {
		want[rule] = strconv.Itoa(n)
		if n%2 == 1 {
			want[rule+"/odd"] = "odd"
		}
	}
	got := map[string]string{}
	for key, data := range s.States("alert/") {
		got[key] = string(data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states and records do not agree (-records +states):\n%s", diff)
	}
	return all
}

// judgeUntilKilled makes steps of four rules at once and says each that is kept.
func judgeUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	return judgeOn(ctx, s, out)
}

func judgeOn(ctx context.Context, s *store.Store, out io.Writer) error {
	known := s.States("alert/")
	var judging sync.WaitGroup
	for w := range 4 {
		rule := fmt.Sprintf("rule-%d", w)
		n, _ := strconv.Atoi(string(known[rule]))
		judging.Go(func() {
			for {
				n++
				if err := judge(s, rule, n)(ctx); err != nil {
					fmt.Fprintf(out, "error %v\n", err)
					return
				}
				fmt.Fprintln(out, "kept", rule, n)
			}
		})
	}
	judging.Wait()
	return nil
}

// drainUntilKilled makes steps that the disk does not take, more than go into one transaction, and lets it take them.
func drainUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := limitFiles(room); err != nil {
		return err
	}
	known := s.States("alert/")
	for w := range 4 {
		rule := fmt.Sprintf("rule-%d", w)
		n, _ := strconv.Atoi(string(known[rule]))
		for range 400 {
			n++
			if err := judge(s, rule, n)(ctx); err != nil {
				return err
			}
		}
	}
	expect(out, !s.Health().OK, "the disk works: %+v", s.Health())
	if err := limitFiles(ample); err != nil {
		return err
	}
	fmt.Fprintln(out, "draining")
	go func() { _ = s.Run(ctx) }()
	if err := untilHealthy(ctx, s); err != nil {
		return err
	}
	return judgeOn(ctx, s, out)
}

func TestKilledAnywhereStatesAreThoseOfTheRecords(t *testing.T) {
	t.Parallel()
	for mode, kills := range map[string]int{"judge": 20, "drain": 8} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir, last := t.TempDir(), map[string]int{}
			for range kills {
				cmd, lines := spawn(t, mode, dir)
				take := func(line string) {
					var rule string
					var n int
					if _, err := fmt.Sscanf(line, "kept %s %d", &rule, &n); err == nil {
						last[rule] = n
					} else if strings.HasPrefix(line, "error") {
						t.Error(line)
					}
				}
				for n := 1 + rand.IntN(40); n > 0 && lines.Scan(); n-- {
					take(lines.Text())
					if lines.Text() == "draining" { // somewhere in the drain, or shortly after
						time.Sleep(time.Second + time.Duration(rand.IntN(150))*time.Millisecond)
						break
					}
				}
				for _, line := range kill(t, cmd, lines) {
					take(line)
				}
			}
			s := open(t, store.Options{Dir: dir})
			all := agree(t, s, mode == "drain")
			for rule, n := range last {
				if got, _ := strconv.Atoi(string(s.States("alert/")[rule])); got < n {
					t.Errorf("%s: state %d, and %d was kept", rule, got, n)
				}
			}
			t.Logf("%d changes", all)
		})
	}
}

func TestWhatIsBegunFirstIsKeptFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	var want []string
	var waits []func(context.Context) error
	for n := range 50 {
		r := transition("rule", n)
		want = append(want, r.ID)
		waits = append(waits, s.Begin(time.Duration(n%3)*time.Millisecond, map[string][]byte{"alert/rule": []byte(strconv.Itoa(n))}, r))
	}
	var waiting sync.WaitGroup
	for _, wait := range waits {
		waiting.Go(func() {
			if err := wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	got, _ := drain(t, s, 0)
	same(t, "order", got, want)
	if err := s.Begin(0, map[string][]byte{"alert/rule": nil, "incident/a": []byte("x")})(t.Context()); err != nil {
		t.Error(err)
	}
	shut(t, s)
	s = open(t, store.Options{Dir: dir})
	same(t, "alerts", s.States("alert/"), map[string][]byte{})
	same(t, "incidents", s.States("incident/"), map[string][]byte{"a": []byte("x")})
	shut(t, s)
	if err := s.Begin(0, map[string][]byte{"a": []byte("b")})(t.Context()); err == nil {
		t.Error("a closed store took a state")
	}
}

func TestWhatWasJudgedIsTrueWhateverBecameOfItsRecord(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	r := transition("rule", 1)
	add(t, s, r)
	if err := s.Begin(0, map[string][]byte{"alert/rule": []byte("1")}, r)(t.Context()); err == nil {
		t.Error("a double was taken")
	}
	if err := s.Begin(0, map[string][]byte{"alert/other": []byte("1")}, checks.Record{})(t.Context()); err == nil {
		t.Error("a record without an id was taken")
	}
	if got := s.States("alert/"); len(got) != 2 {
		t.Errorf("states %v: what was judged is true whatever became of its record", got)
	}
}
