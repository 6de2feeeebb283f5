package pipeline_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pipeline"
)

func TestASecretOfTheAgentIsInNoWordOfAReport(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-another-check"
	shared := map[string]string{"pod": secret, "zone": "a"}
	said := checks.Result{
		Status: checks.Failed, Cause: checks.CauseBadRequest, Summary: "400: bad " + secret,
		Evidence:     []checks.Step{{Name: "a", Detail: "fine"}, {Name: "query", Detail: "said " + secret}},
		Measurements: []checks.Measurement{{Name: "query.x", Value: 1, Attrs: shared}},
		Facts:        map[string]string{"threshold " + secret: "1", "title": secret, "other": "kept"},
	}
	s, log := newShelf(), slog.New(slog.DiscardHandler)
	p := pipeline.New(pipeline.Plan{Jobs: []*pipeline.Job{{Name: "probe", Kind: "test", Timeout: 10e9, Check: free(said, nil)}}}, pipeline.Options{
		Store: s, Ledger: s, Breakers: pipeline.NewBreakers(s, log), Log: log,
		Scrub: func(text string) string { return strings.ReplaceAll(text, secret, checks.Redacted) },
	})
	p.Run(context.Background(), slot())
	r := s.last(t)
	text, err := json.Marshal(checks.OfReport(r))
	if err != nil || strings.Contains(string(text), secret) {
		t.Errorf("%s, %v, want no secret in it", text, err)
	}
	if r.Facts["other"] != "kept" || r.Measurements[0].Attrs["zone"] != "a" || !strings.Contains(r.Summary, "400: bad") {
		t.Errorf("%s, want the other words kept", text)
	}
	if shared["pod"] != secret {
		t.Error("what the check shares between its runs was changed")
	}
}
