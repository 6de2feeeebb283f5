package agent

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/incident"
)

const (
	marksBack   = 2 * time.Hour // how old a mark may be that a rollout begins with
	mostBefore  = 2000          // reports of the time before
	longestBack = 7 * 24 * time.Hour
)

// RolloutAnswer is what GET /v1/rollout answers: what was before a rollout.
type RolloutAnswer struct {
	Mark *incident.Event `json:"mark,omitempty"` // the newest that somebody made in the last two hours
	Runs []checks.Record `json:"runs"`           // of the checks that were asked for, before the mark, the oldest first
}

// RolloutQuestion is what is asked about the time before a rollout.
type RolloutQuestion struct {
	Checks []string
	Window time.Duration // how long before the mark
	Ends   time.Time     // where it ends; zero: at the newest mark, else now
	But    string        // marks that begin with this are none, as those are none that tell a milestone of an incident
}

// Before looks at the runs before a rollout. It is for an agent that is not run.
func (a *Agent) Before(ctx context.Context, q RolloutQuestion) (RolloutAnswer, error) {
	out, now := RolloutAnswer{Runs: []checks.Record{}}, time.Now()
	ends := q.Ends
	if ends.IsZero() {
		ends = now
		events, err := a.store.Events(ctx, now.Add(-marksBack), now, "")
		if err != nil {
			return out, fmt.Errorf("looking for the mark of the rollout: %w", err)
		}
		for _, e := range slices.Backward(events) {
			if e.Kind == incident.EventMark && !incident.TellsMilestone(e.Text) && (q.But == "" || !strings.HasPrefix(e.Text, q.But)) {
				out.Mark, ends = &e, e.At
				break
			}
		}
	}
	since := map[string]time.Time{}
	from := ends.Add(-min(q.Window, longestBack))
	for _, name := range q.Checks {
		since[name] = from
	}
	_, err := a.store.Recent(ctx, since, mostBefore, func(r checks.Record) {
		if rep := r.Report; rep != nil && rep.Final && !r.At.Before(from) && r.At.Before(ends) && slices.Contains(q.Checks, rep.Check) {
			out.Runs = append(out.Runs, r)
		}
	})
	if err != nil {
		return out, err
	}
	return out, nil
}

// Before asks the running agent for the runs before a rollout.
func (c *Client) Before(ctx context.Context, q RolloutQuestion) (RolloutAnswer, error) {
	values := url.Values{"check": q.Checks, "window": {q.Window.String()}, "but": {q.But}}
	if !q.Ends.IsZero() {
		values.Set("ends", q.Ends.UTC().Format(time.RFC3339Nano))
	}
	var out RolloutAnswer
	err := c.Call(ctx, http.MethodGet, "/v1/rollout?"+values.Encode(), nil, &out)
	return out, err
}

func (a *Agent) serveRollout(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	q := RolloutQuestion{Checks: values["check"], But: values.Get("but")}
	var err error
	if q.Window, err = time.ParseDuration(values.Get("window")); err == nil && values.Get("ends") != "" {
		q.Ends, err = time.Parse(time.RFC3339Nano, values.Get("ends"))
	}
	if err != nil {
		http.Error(w, "want a window such as 1h, and ends as RFC 3339: "+err.Error(), http.StatusBadRequest)
		return
	}
	out, err := a.Before(r.Context(), q)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, out)
}
