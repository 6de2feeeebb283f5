package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// logged is a pipeline of n checks c0, c1, … that end as results say, and what it logs.
func logged(n int, level slog.Level, result func() checks.Result) (p *pipeline.Pipeline, lines func() []string) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "run_id" || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
	s, jobs := newShelf(), []*pipeline.Job(nil)
	for i := range n {
		jobs = append(jobs, &pipeline.Job{
			Name: fmt.Sprintf("c%d", i), Kind: "test", Timeout: time.Second,
			Check: checks.Func(func(context.Context) (checks.Result, error) { return result(), nil }),
		})
	}
	p = pipeline.New(pipeline.Plan{Jobs: jobs}, pipeline.Options{Store: s, Ledger: s, Breakers: pipeline.NewBreakers(s, log), Log: log})
	return p, func() []string {
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		out.Reset()
		return slices.DeleteFunc(got, func(line string) bool { return line == "" })
	}
}

// TestAFailureIsLoggedOnce: when it begins, when its cause is another, when it is over; what goes on is told now and then.
func TestAFailureIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var result checks.Result
		p, lines := logged(1, slog.LevelInfo, func() checks.Result { return result })
		refused, broken, well, late := checks.Fail(checks.CauseAuth, "401"), checks.Fail(checks.CauseServer, "500"), checks.Pass("fine"), checks.Skip(checks.CauseMaintenance, "a window")
		for i, step := range []struct {
			result checks.Result
			wait   time.Duration
			want   []string
		}{
			{well, time.Minute, nil},
			{refused, time.Minute, []string{`level=WARN msg="check failed" check=c0 status=failed cause=auth blame=account summary=401`}},
			{refused, time.Minute, nil},
			{broken, time.Minute, []string{`level=WARN msg="check failed" check=c0 status=failed cause=server blame=provider summary=500`}},
			{late, time.Minute, []string{`level=INFO msg="check skipped" check=c0 status=skipped cause=maintenance blame=skipped summary="a window"`}},
			{refused, time.Minute, nil}, // a breaker that tries now and then makes the same turns again and again
			{late, 10 * time.Minute, nil},
			{broken, time.Minute, []string{`level=WARN msg="checks go on failing" checks=1 failures=3 names=c0`}},
			{well, time.Minute, []string{`level=INFO msg="check works again" check=c0 status=ok cause="" blame="" summary=fine after=16m0s results=7`}},
			{well, time.Minute, nil},
			{refused, time.Minute, []string{`level=WARN msg="check failed" check=c0 status=failed cause=auth blame=account summary=401`}},
		} {
			result = step.result
			p.Run(t.Context(), schedule.Slot{Name: "c0", ScheduledAt: time.Now(), Trigger: checks.TriggerSchedule})
			if got := lines(); !slices.Equal(got, step.want) {
				t.Errorf("step %d: logged\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(step.want, "\n"))
			}
			time.Sleep(step.wait)
		}
	})
}

// TestAThousandChecksDoNotFloodTheLog: journald drops all of a service's lines above 10,000 in 30 s, the agent's own first.
func TestAThousandChecksDoNotFloodTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p, lines := logged(1000, slog.LevelInfo, func() checks.Result {
			if n++; n/1000%2 == 0 { // all fail, all are well, all fail, …: each result is news
				return checks.Fail(checks.CauseServer, "500")
			}
			return checks.Pass("")
		})
		var all []string
		for range 30 {
			for i := range 1000 {
				p.Run(t.Context(), schedule.Slot{Name: fmt.Sprintf("c%d", i), ScheduledAt: time.Now(), Trigger: checks.TriggerSchedule})
			}
			time.Sleep(time.Second)
			all = append(all, lines()...)
		}
		told := 0
		for _, line := range all {
			var unsaid int
			if _, err := fmt.Sscanf(line, `level=WARN msg="more checks changed than were logged one by one" lines=%d`, &unsaid); err == nil {
				told += unsaid
			}
		}
		if len(all) > 700 || len(all) < 600 || told < 15_000 {
			t.Errorf("30,000 results, each of them news, gave %d lines, which tell of %d more", len(all), told)
		}
	})
}
