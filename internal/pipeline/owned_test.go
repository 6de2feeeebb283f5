package pipeline_test

import (
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pipeline"
)

// owned is a paid check of the team's own application.
type owned struct{ paid }

func (owned) Owner() checks.Blame { return checks.BlameApplication }

func TestWhatTheTableBlamesOnTheProviderIsTheOwners(t *testing.T) {
	t.Parallel()
	known := checks.Fail(checks.CauseServer, "500")
	known.Blame = checks.BlameConfig
	for name, tt := range map[string]struct {
		result checks.Result
		want   checks.Blame
	}{
		"a 500":                       {checks.Fail(checks.CauseServer, "500"), checks.BlameApplication},
		"a connection that is lost":   {checks.Fail(checks.CauseConnect, "refused"), checks.BlameNetwork},
		"what the check knows better": {known, checks.BlameConfig},
		"our own fault":               {checks.Result{Status: checks.Error, Cause: checks.CauseInternal, Summary: "no"}, checks.BlameOurs},
		"a slow answer":               {checks.Pass("well"), checks.BlameApplication},
		"a success":                   {checks.Pass("well"), checks.BlameNone},
	} {
		s := newShelf()
		job := &pipeline.Job{Provider: "mistral", Check: owned{paid{script(tt.result), 1}}}
		if name == "a slow answer" {
			job.DegradedAbove = time.Nanosecond
		}
		newPipeline(s, job, nil).Run(t.Context(), slot())
		if got := s.last(t); got.Blame != tt.want {
			t.Errorf("%s: blame %q of %s %q, want %q", name, got.Blame, got.Status, got.Cause, tt.want)
		}
	}
}

func TestAnOwnersChecksHaveNoPartInTheBreakerAndPayAllTheSame(t *testing.T) {
	t.Parallel()
	s := newShelf()
	s.limit = 10
	p := newPipeline(s, &pipeline.Job{Provider: "mistral", Check: owned{paid{script(checks.Fail(checks.CauseServer, "500")), 7}}}, nil)
	for range 8 {
		p.Run(t.Context(), slot())
		got := s.last(t)
		if got.Status != checks.Failed || s.reserved[got.ID] != 7 {
			t.Fatalf("got %s %q with %d reserved, want that it runs with 7", got.Status, got.Cause, s.reserved[got.ID])
		}
	}
	s.limit = 5
	p.Run(t.Context(), slot())
	if got := s.last(t); got.Cause != checks.CauseBudget {
		t.Errorf("beyond the budget: %s %q, want that it is skipped", got.Status, got.Cause)
	}
}
