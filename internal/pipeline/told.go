package pipeline

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	tellAgain  = 10 * time.Minute // between two lines about what goes on failing
	tellWithin = 10 * time.Second // in which at most
	tellMost   = 200              // lines about single checks are logged: a third of what journald takes of a service is 3,333
	namesMost  = 5                // that are named in a summary
)

// teller logs what became of checks: an episode begins with the first result that is not well and ends with one that is.
// Each thing that is new in it is one line, the same again is for the debugger, and counted. It is safe for concurrent use.
type teller struct {
	log *slog.Logger

	mu       sync.Mutex // guards the rest
	episodes map[string]*episode
	again    int       // failures since the last summary that were nothing new
	summary  time.Time // of the last one, or when there was first something to tell
	window   time.Time // when the lines began to be counted
	lines    int       // in it
	unsaid   int       // lines over the limit, since one told of them
}

// episode is what was told of a check that is not well.
type episode struct {
	since   time.Time
	results int
	told    []news
}

// news is what makes one result another thing to tell than the one before.
type news struct {
	status checks.Status
	cause  checks.Cause
}

func newTeller(log *slog.Logger) *teller {
	return &teller{log: log, episodes: map[string]*episode{}}
}

// tell logs a result, where it is something new. Results that are not final are details of the final one.
func (t *teller) tell(ctx context.Context, r *checks.Report, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, level, more := "run", slog.LevelDebug, []any(nil)
	if r.Final {
		text, level, more = t.weigh(r, now)
	}
	if level > slog.LevelDebug && !t.room(now) {
		text, level = "run", slog.LevelDebug
	}
	if t.log.Enabled(ctx, level) {
		t.log.Log(ctx, level, text, append([]any{ //nolint:sloglint // one of a few constants
			"check", r.Check, "status", r.Status.String(), "cause", string(r.Cause), "blame", string(r.Blame), "run_id", r.ID,
			"took", r.Took.Round(time.Microsecond), "summary", r.Summary,
		}, more...)...)
	}
	t.summarise(now)
}

// weigh is what a final result is to the log.
func (t *teller) weigh(r *checks.Report, now time.Time) (text string, level slog.Level, more []any) {
	e := t.episodes[r.Check]
	if r.Status == checks.OK {
		if e == nil {
			return "run", slog.LevelDebug, nil
		}
		delete(t.episodes, r.Check)
		return "check works again", slog.LevelInfo, []any{"after", now.Sub(e.since).Round(time.Second), "results", e.results}
	}
	if e == nil {
		e = &episode{since: now}
		t.episodes[r.Check] = e
	}
	e.results++
	n := news{r.Status, r.Cause}
	if slices.Contains(e.told, n) {
		if n.failure() {
			t.again++
		}
		return "run", slog.LevelDebug, nil
	}
	e.told = append(e.told, n)
	text, level = headline(r.Status)
	return text, level, nil
}

// headline is how a result that is not well is told.
func headline(status checks.Status) (text string, level slog.Level) {
	switch status {
	case checks.Degraded:
		return "check degraded", slog.LevelInfo
	case checks.Skipped:
		return "check skipped", slog.LevelInfo
	case checks.Error:
		return "check could not run", slog.LevelWarn
	case checks.Unknown:
		return "check could not tell", slog.LevelWarn
	case checks.OK, checks.Failed:
	}
	return "check failed", slog.LevelWarn
}

// room counts a line, and tells of those for which there was none.
func (t *teller) room(now time.Time) bool {
	if now.Sub(t.window) >= tellWithin || now.Before(t.window) {
		if t.unsaid > 0 {
			t.log.Warn("more checks changed than were logged one by one", "lines", t.unsaid)
		}
		t.window, t.lines, t.unsaid = now, 0, 0
	}
	if t.lines++; t.lines > tellMost {
		t.unsaid++
		return false
	}
	return true
}

// summarise tells now and then what goes on failing.
func (t *teller) summarise(now time.Time) {
	if t.again == 0 || t.summary.IsZero() {
		if t.again > 0 {
			t.summary = now
		}
		return
	}
	if now.Sub(t.summary) < tellAgain && !now.Before(t.summary) {
		return
	}
	var failing []string
	for check, e := range t.episodes {
		if slices.ContainsFunc(e.told, news.failure) {
			failing = append(failing, check)
		}
	}
	if len(failing) > 0 {
		slices.Sort(failing)
		count := len(failing)
		if count > namesMost {
			failing = append(failing[:namesMost], "…")
		}
		t.log.Warn("checks go on failing", "checks", count, "failures", t.again, "names", strings.Join(failing, ", "))
	}
	t.again, t.summary = 0, time.Time{}
}

func (n news) failure() bool { return n.status != checks.Skipped && n.status != checks.Degraded }

// keep forgets the checks that are not there any more.
func (t *teller) keep(jobs map[string]*Job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for check := range t.episodes {
		if jobs[check] == nil {
			delete(t.episodes, check)
		}
	}
}
