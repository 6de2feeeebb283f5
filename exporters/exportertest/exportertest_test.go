package exportertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
)

const key = "canary-6b1f0a9e-key"

type lakeParams struct {
	URL string        `yaml:"url" jsonschema_description:"where the lake is"`
	Key checks.Secret `yaml:"key" jsonschema_description:"the key of the lake"`
}

func (p lakeParams) Validate() error {
	if p.URL == "" {
		return checks.Invalid("url", "nothing, want the lake's address")
	}
	return nil
}

// lake is an exporter as a plugin's author would write the first one: records as JSON over HTTP, with totals.
type lake struct {
	params lakeParams
	client *http.Client
	tally  *exporters.Tally
}

func kind() exporters.Kind {
	return exporters.NewKind("lake", "Pours every record into a lake, as JSON over HTTP.", lakeParams{},
		func(p lakeParams, env exporters.Env) (exporters.Exporter, error) {
			totals, err := exporters.LoadTotals(env.State, time.Unix(1, 0), 0)
			if err != nil {
				env.Log.Warn("totals start again", "error", err)
				totals = exporters.NewTotals(time.Unix(1, 0), 0)
			}
			client := &http.Client{
				Transport:     &http.Transport{},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
			return &lake{params: p, client: client, tally: exporters.NewTally(totals)}, nil
		})
}

func (l *lake) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if len(batch) == 0 {
		return exporters.Outcome{}, nil
	}
	var body bytes.Buffer
	var rejected []exporters.Rejection
	next := l.tally.Next(batch)
	for i, rec := range batch {
		line, err := json.Marshal(rec)
		if err != nil {
			rejected = append(rejected, exporters.Rejection{Index: i, Reason: "no JSON form"})
			continue
		}
		body.Write(append(line, '\n'))
		for _, p := range exporters.Points(rec) {
			next.Add(p)
		}
	}
	if err := l.post(ctx, &body); err != nil {
		if exporters.IsSplit(err) && len(batch) == 1 {
			err = exporters.Poison(err)
		}
		return exporters.Outcome{}, err
	}
	l.tally.Done(batch, next)
	return exporters.Outcome{Rejected: rejected, State: next.Encode()}, nil
}

func (l *lake) post(ctx context.Context, body io.Reader) error {
	secret, err := l.params.Key.Reveal(ctx)
	if err != nil {
		return exporters.Hold(fmt.Errorf("reading the key from %s: %w", l.params.Key.Where(), err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.params.URL, body)
	if err != nil {
		return exporters.Hold(errors.New("the address of the lake cannot be used"))
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	answer, err := l.client.Do(req)
	if err != nil {
		return exporters.Retry(fmt.Errorf("pouring: %w", err), 0)
	}
	defer func() { _ = answer.Body.Close() }()
	after, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
	return exporters.OfHTTPStatus(answer.StatusCode, time.Duration(after)*time.Second, "pouring")
}

func (l *lake) Close() error {
	l.client.CloseIdleConnections()
	return nil
}

func TestAnExporterOfManyFaultsPassesTheSuite(t *testing.T) {
	played := map[exportertest.Fault]bool{}
	exportertest.Run(t, exportertest.Options{
		Kind: kind(),
		Key:  key,
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			played[fault] = true
			works := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer "+key {
					t.Errorf("the backend got %q, want the key", got)
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil && r.Context().Err() == nil {
					t.Error(err)
				}
			})
			url := exportertest.HTTPBackend(t, fault, works)
			return exportertest.Case{With: "url: " + url + "\nkey: {env: LAKE_KEY}\n"}, true
		},
		Refused: map[string]string{"no address": "url: \"\"\n"},
	})
	if len(played) != len(exportertest.Faults()) {
		t.Errorf("the suite played %d faults of %d", len(played), len(exportertest.Faults()))
	}
}

func TestSamplesAreTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(exportertest.Records(100, 7), exportertest.Records(100, 7)); diff != "" {
		t.Errorf("two times seed 7:\n%s", diff)
	}
	if cmp.Equal(exportertest.Records(100, 7), exportertest.Records(100, 8)) {
		t.Error("seeds 7 and 8 give the same")
	}
	if diff := cmp.Diff(exportertest.Records(200, 7)[:100], exportertest.Records(100, 7)); diff != "" {
		t.Errorf("more records begin otherwise:\n%s", diff)
	}
}

func TestSamplesAreWhatAnAgentMakes(t *testing.T) {
	t.Parallel()
	var last string
	seen := map[string]int{}
	for i, rec := range exportertest.Records(240, 1) {
		if rec.ID <= last {
			t.Errorf("record %d: id %q after %q, want them ascending", i, rec.ID, last)
		}
		last = rec.ID
		seen[string(rec.Type())]++
		if r := rec.Report; r != nil {
			seen[r.Status.String()]++
			if err := checktest.Valid(r.Result); err != nil {
				t.Errorf("record %d: %v", i, err)
			}
			if !r.Final {
				seen["unconfirmed"]++
			}
			if r.Slots > 1 {
				seen["many slots"]++
			}
		}
	}
	want := []string{"report", "alert", "agent", "ok", "degraded", "failed", "unknown", "error", "skipped", "unconfirmed", "many slots"}
	for _, what := range want {
		if seen[what] == 0 {
			t.Errorf("no %s among the samples: %v", what, seen)
		}
	}
}

func TestEveryFaultHasAClass(t *testing.T) {
	t.Parallel()
	classes := []exportertest.Class{
		exportertest.Accepted, exportertest.Retry, exportertest.Hold, exportertest.Split, exportertest.Poison,
	}
	for fault, class := range exportertest.Faults() {
		if !slices.Contains(classes, class) {
			t.Errorf("%s is %q, which is no class", fault, class)
		}
	}
}
