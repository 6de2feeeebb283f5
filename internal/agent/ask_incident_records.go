package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/store"
)

// recordsPage is how many records of an incident are told at a time.
const recordsPage = 2000

// RecordsAnswer is what GET /v1/incidents/{id}/records?after=POSITION answers: the reports and alerts of the incident's
// time, from half an hour before it on, in the order in which they came.
type RecordsAnswer struct {
	Records []json.RawMessage `json:"records"` // checks.Record
	Next    delivery.Position `json:"next"`    // the `after` of the question that goes on
	More    bool              `json:"more,omitempty"`
}

// CloseRequest is what POST /v1/incidents/{id}/close is told. The id may be the beginning of one, or latest.
type CloseRequest struct {
	Reason string `json:"reason,omitempty"` // needed with Force
	By     string `json:"by,omitempty"`     // "": the peer's user id
	Force  bool   `json:"force,omitempty"`  // though alerts are open
}

// spanOf is the time whose records tell of an incident.
func spanOf(in *incident.Incident, now time.Time) (from, to time.Time) {
	if from, to = in.OpenedAt.Add(-incident.Before), in.ClosedAt.Add(time.Second); in.Open() {
		to = now.Add(time.Minute) // what came while this was asked
	}
	return from, to
}

func (a *Agent) recordsOfIncident(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.FormValue("after"), 10, 64)
	if err != nil && r.FormValue("after") != "" {
		http.Error(w, "after is no position", http.StatusBadRequest)
		return
	}
	one, h, ok := a.incidentOf(w, r)
	if !ok {
		return
	}
	from, to := spanOf(&one, h.now)
	out := RecordsAnswer{Records: []json.RawMessage{}}
	data, next, more, err := a.store.Between(r.Context(), from, to, delivery.Position(after), recordsPage)
	if err != nil {
		refuse(w, err)
		return
	}
	out.Records, out.Next, out.More = append(out.Records, data...), next, more
	answer(w, http.StatusOK, out)
}

// incidentOf finds the incident that a request names, and answers itself where there is none.
func (a *Agent) incidentOf(w http.ResponseWriter, r *http.Request) (one incident.Incident, h history, ok bool) {
	h, err := a.history(r.Context())
	if err == nil {
		one, err = h.find(r.Context(), r.PathValue("id"))
	}
	switch {
	case errors.Is(err, errNoIncident):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		refuse(w, err)
	}
	return one, h, err == nil
}

// ClosedAnswer is what POST /v1/incidents/{id}/close answers.
type ClosedAnswer struct {
	Closed string `json:"closed"`           // its id
	Unkept string `json:"unkept,omitempty"` // why a restart would find it open
}

// closeIncident ends an incident by hand.
func (a *Agent) closeIncident(w http.ResponseWriter, r *http.Request) {
	var asked CloseRequest
	if !readBody(w, r, &asked) {
		return
	}
	by, reason := byWhom(r, asked.By), strings.TrimSpace(asked.Reason)
	if len(reason) > longMark || len(by) > longMark || strings.ContainsFunc(reason+by, unicode.IsControl) {
		http.Error(w, fmt.Sprintf("want a reason of one line and at most %d bytes", longMark), http.StatusBadRequest)
		return
	}
	if asked.Force && reason == "" {
		http.Error(w, "force needs a reason, for those who read the timeline later", http.StatusBadRequest)
		return
	}
	one, _, ok := a.incidentOf(w, r)
	if !ok {
		return
	}
	closing := incident.Closing{By: a.cleanWords(by), Reason: a.cleanWords(reason), Force: asked.Force}
	found, refused := false, error(nil)
	err := a.alerts.WithBook(r.Context(), func(now time.Time, book *incident.Book) (out incident.Outcome) {
		out, found, refused = book.Close(now, one.ID, closing)
		return out
	})
	switch {
	case err != nil:
		refuse(w, err)
	case !found:
		http.Error(w, fmt.Sprintf("incident %s was closed at %s", one.ID, one.ClosedAt.UTC().Format(time.RFC3339)), http.StatusBadRequest)
	case refused != nil:
		http.Error(w, refused.Error(), http.StatusBadRequest)
	default:
		a.o.Log.Info("incident closed by hand", "incident", one.ID, "by", closing.By, "reason", closing.Reason)
		told := ClosedAnswer{Closed: one.ID}
		if store := a.store.Health(); !store.OK {
			told.Unkept = "the store cannot be written (" + store.Problem + ")"
		}
		answer(w, http.StatusOK, told)
	}
}

// EachRecord has the running agent tell the records of an incident, page by page.
func (c *Client) EachRecord(ctx context.Context, id string, each func(*checks.Record)) error {
	for after, more := delivery.Position(0), true; more; {
		var page RecordsAnswer
		path := fmt.Sprintf("/v1/incidents/%s/records?after=%d", url.PathEscape(id), after)
		if err := c.Ask(ctx, http.MethodGet, path, nil, &page); err != nil {
			return fmt.Errorf("reading the records of %s: %w", id, err)
		}
		for _, text := range page.Records {
			hand(text, each)
		}
		after, more = page.Next, page.More && page.Next > after
	}
	return nil
}

// hand decodes a record. What cannot be decoded is passed over.
func hand(text []byte, each func(*checks.Record)) {
	var record checks.Record
	if record.UnmarshalJSON(text) == nil {
		each(&record)
	}
}

// SeenRecords reads the records of an incident from the store, for when no agent answers. Where there is no store there are
// none.
func SeenRecords(ctx context.Context, cfg *config.Config, getenv func(string) string, in *incident.Incident, each func(*checks.Record)) error {
	dir, err := StateDir(cfg, getenv)
	if err != nil {
		return err
	}
	from, to := spanOf(in, time.Now())
	types := []string{string(checks.TypeReport), string(checks.TypeAlert)}
	_, err = store.Export(ctx, dir, store.Selection{Since: from, Until: to, Types: types}, func(text []byte) error {
		hand(text, each)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// TargetsOf are the checks of a configuration, as incidents know them.
func TargetsOf(cfg *config.Config) []incident.Target {
	all := make([]incident.Target, len(cfg.Checks))
	for i := range cfg.Checks {
		all[i] = incident.Target{Name: cfg.Checks[i].Name, Kind: cfg.Checks[i].Kind, Provider: cfg.Checks[i].Provider}
	}
	return all
}
