package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/nearest"
	"github.com/windsock-monitor/windsock/internal/store"
)

const (
	listBack  = 30 * 24 * time.Hour // how long ago incidents may have been closed that are listed
	findBack  = 90 * 24 * time.Hour // and that are found by their id: as long as the timeline is kept
	longestID = 26                  // of a ULID
	longMark  = 300                 // bytes of a mark's text
)

// IncidentsAnswer is what GET /v1/incidents answers.
type IncidentsAnswer struct {
	Incidents []incident.Incident `json:"incidents"` // open ones first, the worst first; then those closed lately, the newest first
}

// IncidentAnswer is what GET /v1/incidents/{id} answers.
type IncidentAnswer struct {
	Incident incident.Incident `json:"incident"`
	Timeline []incident.Event  `json:"timeline"` // its own, and what belongs to none from half an hour before it to its end
}

// MarkRequest is what POST /v1/marks is told.
type MarkRequest struct {
	Text string `json:"text"`
	By   string `json:"by,omitempty"`
}

// Latest stands for the incident that was opened last, in the place of an id: a real one, where there is any.
const Latest = "latest"

// errNoIncident is a question about an incident that nobody knows.
var errNoIncident = errors.New("no such incident")

func (a *Agent) incidentRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/incidents", a.listIncidents)
	mux.HandleFunc("GET /v1/incidents/{id}", a.showIncident)
	mux.HandleFunc("GET /v1/incidents/{id}/records", a.recordsOfIncident)
	mux.HandleFunc("POST /v1/incidents/{id}/close", a.byHand(a.closeIncident))
	mux.HandleFunc("POST /v1/marks", a.byHand(a.mark))
}

// history is the open incidents and the timeline behind them.
type history struct {
	open     []incident.Incident
	now      time.Time
	timeline interface {
		Events(ctx context.Context, from, to time.Time, of string) ([]incident.Event, error)
	}
}

func (a *Agent) history(ctx context.Context) (history, error) {
	h := history{timeline: a.store}
	err := a.alerts.WithBook(ctx, func(now time.Time, book *incident.Book) incident.Outcome {
		h.now, h.open = now, book.List()
		return incident.Outcome{}
	})
	h.open = append(h.open, a.alerts.DrillIncidents()...)
	if err == nil {
		err = a.store.Settle(ctx) // an incident that is not open any more is in its timeline
	}
	return h, err
}

// list is the incidents that are open or were closed since. Of those that were closed it goes by the newest events.
func (h history) list(ctx context.Context, back time.Duration) (*IncidentsAnswer, error) {
	events, err := h.timeline.Events(ctx, h.now.Add(-back), time.Time{}, "")
	if err != nil {
		return nil, err
	}
	out := &IncidentsAnswer{Incidents: slices.Clone(h.open)}
	for _, e := range slices.Backward(events) {
		if e.Closed != nil && !slices.ContainsFunc(h.open, func(i incident.Incident) bool { return i.ID == e.Closed.ID }) {
			out.Incidents = append(out.Incidents, *e.Closed)
		}
	}
	if out.Incidents == nil {
		out.Incidents = []incident.Incident{}
	}
	return out, nil
}

// show tells of one incident, by its id, the beginning of it, or the word latest.
func (h history) show(ctx context.Context, id string) (*IncidentAnswer, error) {
	one, err := h.find(ctx, id)
	if err != nil {
		return nil, err
	}
	from, to := one.OpenedAt.Add(-incident.Before), time.Time{}
	if !one.Open() {
		to = one.ClosedAt.Add(time.Millisecond)
	}
	around, err := h.timeline.Events(ctx, from, to, "")
	if err != nil {
		return nil, err
	}
	out := &IncidentAnswer{Incident: one, Timeline: []incident.Event{}}
	for _, e := range around {
		if e.Incident == "" || e.Incident == one.ID {
			e.Closed = nil // it says what Incident does
			out.Timeline = append(out.Timeline, e)
		}
	}
	return out, nil
}

func (h history) find(ctx context.Context, id string) (incident.Incident, error) {
	known, err := h.list(ctx, findBack)
	if err != nil {
		return incident.Incident{}, err
	}
	if id == Latest && len(known.Incidents) > 0 {
		return latest(known.Incidents), nil
	}
	wanted := strings.ToUpper(id)
	var found []incident.Incident
	ids := make([]string, len(known.Incidents))
	for i := range known.Incidents {
		ids[i] = known.Incidents[i].ID
		if wanted != "" && len(wanted) <= longestID && strings.HasPrefix(ids[i], wanted) {
			found = append(found, known.Incidents[i])
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return incident.Incident{}, fmt.Errorf("%w: %d begin with %q", errNoIncident, len(found), id)
	case len(ids) == 0:
		return incident.Incident{}, fmt.Errorf("%w as %q: there was none in the last 90 days", errNoIncident, id)
	}
	if near := nearest.Word(wanted, ids); near != "" {
		return incident.Incident{}, fmt.Errorf("%w as %q; did you mean %q?", errNoIncident, id, near)
	}
	return incident.Incident{}, fmt.Errorf("%w as %q", errNoIncident, id)
}

// latest is the incident that was opened last; one of a drill only where there is no other.
func latest(all []incident.Incident) incident.Incident {
	return slices.MaxFunc(all, func(a, b incident.Incident) int {
		if drill := a.Drill() != ""; drill != (b.Drill() != "") {
			if drill {
				return -1
			}
			return 1
		}
		return a.OpenedAt.Compare(b.OpenedAt)
	})
}

func (a *Agent) listIncidents(w http.ResponseWriter, r *http.Request) {
	h, err := a.history(r.Context())
	if err == nil {
		var out *IncidentsAnswer
		if out, err = h.list(r.Context(), listBack); err == nil {
			answer(w, http.StatusOK, out)
			return
		}
	}
	refuse(w, err)
}

func (a *Agent) showIncident(w http.ResponseWriter, r *http.Request) {
	h, err := a.history(r.Context())
	if err == nil {
		var out *IncidentAnswer
		if out, err = h.show(r.Context(), r.PathValue("id")); err == nil {
			answer(w, http.StatusOK, out)
			return
		}
	}
	if errors.Is(err, errNoIncident) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	refuse(w, err)
}

// mark notes what somebody did: a deploy, a canary.
func (a *Agent) mark(w http.ResponseWriter, r *http.Request) {
	var asked MarkRequest
	if !readBody(w, r, &asked) {
		return
	}
	by, text := byWhom(r, asked.By), strings.TrimSpace(asked.Text)
	if text == "" || len(text) > longMark || len(by) > longMark || strings.ContainsFunc(text+by, unicode.IsControl) {
		http.Error(w, fmt.Sprintf("want a text of one line and at most %d bytes", longMark), http.StatusBadRequest)
		return
	}
	text, by = a.cleanWords(text), a.cleanWords(by)
	var event incident.Event
	err := a.alerts.WithBook(r.Context(), func(now time.Time, book *incident.Book) incident.Outcome {
		event = book.Event(now, incident.EventMark, by, text)
		return incident.Outcome{Events: []incident.Event{event}}
	})
	if err != nil {
		refuse(w, err)
		return
	}
	a.o.Log.Info("marked", "text", text, "by", by)
	answer(w, http.StatusCreated, event)
}

// SeenIncidents reads the incidents from the store, for when no agent answers. Nothing known is an empty answer.
func SeenIncidents(ctx context.Context, cfg *config.Config, getenv func(string) string) (out *IncidentsAnswer, err error) {
	err = withHistory(ctx, cfg, getenv, func(h history) error {
		out, err = h.list(ctx, listBack)
		return err
	})
	return out, err
}

// SeenIncident reads one incident from the store, for when no agent answers.
func SeenIncident(ctx context.Context, cfg *config.Config, getenv func(string) string, id string) (out *IncidentAnswer, err error) {
	err = withHistory(ctx, cfg, getenv, func(h history) error {
		out, err = h.show(ctx, id)
		return err
	})
	return out, err
}

// IsNoIncident reports whether an error of SeenIncident means that there is no such incident.
func IsNoIncident(err error) bool { return errors.Is(err, errNoIncident) }

func withHistory(ctx context.Context, cfg *config.Config, getenv func(string) string, use func(history) error) error {
	dir, err := StateDir(cfg, getenv)
	if err != nil {
		return err
	}
	h := history{now: time.Now(), timeline: nothing{}}
	view, err := store.OpenView(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return use(h)
	}
	if err != nil {
		return err
	}
	defer func() { _ = view.Close() }()
	states, err := view.States(ctx, alerting.IncidentKey)
	if err != nil {
		return err
	}
	book := incident.New()
	book.Restore(h.now, states)
	h.open, h.timeline = book.List(), view
	return use(h)
}

// nothing is the timeline of a store that is not there.
type nothing struct{}

// Events finds none.
func (nothing) Events(context.Context, time.Time, time.Time, string) ([]incident.Event, error) {
	return nil, nil
}
