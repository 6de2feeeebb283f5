package usable_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/usable"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/mistral/mistraltest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

const key = "canary-key-4711-abcdef"

// provider is a simulator, with faults as its admin endpoint takes them.
func provider(t *testing.T, faults ...string) string {
	t.Helper()
	server := httptest.NewServer(simulator.New(simulator.Options{Seed: 1}).Handler())
	t.Cleanup(server.Close)
	for _, fault := range faults {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/admin/faults", strings.NewReader(fault))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusCreated {
			t.Fatalf("the simulator answers %d to %s", resp.StatusCode, fault)
		}
	}
	return server.URL
}

func TestTheKindPassesTheSuite(t *testing.T) {
	const params = "models: [mistral-small-latest]"
	checktest.Run(t, usable.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params, Env: checks.Env{Provider: mistraltest.Client(t, provider(t), checktest.Secret(key))}}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params, Env: checks.Env{Provider: mistraltest.Client(t, "http://"+outboundtest.Refused(t), checktest.Secret(key))}}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			return checktest.Case{Params: params, Env: checks.Env{Provider: mistraltest.Client(t, url, checktest.Secret(key))}, Reached: reached}
		},
		Refused: map[string]string{
			"an empty id":           "models: ['']",
			"an id of two lines":    `models: ["a\nb"]`,
			"an id twice":           "models: [a, a]",
			"a text":                "models: a",
			"more than can be kept": "models: [" + strings.Repeat("a, ", 60) + "b]",
		},
	})
}

// kept is a memory, and one that fails where it has an error.
type kept struct {
	data                 []byte
	loadError, saveError error
}

func (k *kept) Load(context.Context) ([]byte, error) { return k.data, k.loadError }

func (k *kept) Save(_ context.Context, data []byte) error {
	if k.saveError == nil {
		k.data = data
	}
	return k.saveError
}

// run makes the check anew each time, as after a restart.
func run(t *testing.T, url, params string, memory checks.Memory, used ...string) checks.Result {
	t.Helper()
	check, err := usable.Kind().New(checktest.Decoder(params, ""), checks.Env{
		Provider: mistraltest.Client(t, url, checktest.Secret(key)), Memory: memory, Models: func() []string { return used },
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("not valid: %v", err)
	}
	paid, ok := check.(checks.Paid)
	if !ok {
		t.Fatal("the check does not say what it costs")
	}
	if worst, _ := paid.MaxCost(time.Now()); r.Usage != nil && r.Usage.Cost > worst {
		t.Errorf("the run cost %s, and at worst was to cost %s", r.Usage.Cost, worst)
	}
	for _, m := range r.Measurements {
		if row, ok := exporters.Lookup(m.Name); !ok || row.Unit != m.Unit {
			t.Errorf("%s with unit %q is not in the catalogue", m.Name, m.Unit)
		}
	}
	return r
}

func usableOf(r checks.Result) map[string]float64 {
	out := map[string]float64{}
	for _, m := range r.Measurements {
		if m.Name == "probe.llm.model.usable" {
			out[m.Attrs["model"]] = m.Value
		}
	}
	return out
}

func TestOneModelIsAskedInEachRunAndARefusalStays(t *testing.T) {
	t.Parallel()
	url, memory := provider(t), &kept{}
	const params = "models: [mistral-small-latest, labs-leanstral-1-5-1, mistral-embed]"
	steps := []struct {
		status checks.Status
		cause  checks.Cause
		known  int
		paid   bool
	}{
		{checks.OK, checks.CauseNone, 1, true},           // small answers
		{checks.Failed, checks.CauseForbidden, 2, false}, // leanstral is not enabled
		{checks.Failed, checks.CauseForbidden, 3, true},  // embed answers, leanstral is still refused
		{checks.Failed, checks.CauseForbidden, 3, true},  // small again
	}
	for i, want := range steps {
		r := run(t, url, params, memory)
		seen := usableOf(r)
		if r.Status != want.status || r.Cause != want.cause || len(seen) != want.known || (r.Usage != nil) != want.paid {
			t.Errorf("run %d: %s %s (%s), usable %v, usage %+v", i, r.Status, r.Cause, r.Summary, seen, r.Usage)
		}
		if i > 0 && (seen["labs-leanstral-1-5-1"] != 0 || seen["mistral-small-latest"] != 1 || !strings.Contains(r.Summary, "labs-leanstral-1-5-1 (forbidden)")) {
			t.Errorf("run %d: usable %v, %s", i, seen, r.Summary)
		}
	}
}

func TestWhatARefusalSays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault, model string
		status       checks.Status
		cause        checks.Cause
		refuses      bool // the model itself
	}{
		"zero allowance":                   {`{"route":"chat","no_allowance":true}`, "mistral-small-latest", checks.Failed, checks.CauseNoAllowance, true},
		"another tier":                     {`{"route":"chat","error":"tier_not_allowed"}`, "mistral-small-latest", checks.Failed, checks.CauseForbidden, true},
		"retired":                          {`{"model_retired":{"id":"mistral-small-2603"}}`, "mistral-small-latest", checks.Failed, checks.CauseModelGone, true},
		"a limit is not the model's":       {`{"route":"chat","error":"rate_limited"}`, "mistral-small-latest", checks.Failed, checks.CauseRateLimited, false},
		"nor is a lack of capacity":        {`{"route":"chat","error":"capacity"}`, "mistral-small-latest", checks.Failed, checks.CauseCapacity, false},
		"nor is an outage":                 {`{"route":"chat","error":"internal"}`, "mistral-small-latest", checks.Failed, checks.CauseServer, false},
		"nor is a wrong key":               {`{"route":"chat","error":"unauthorized"}`, "mistral-small-latest", checks.Failed, checks.CauseAuth, false},
		"no answer in one token is answer": {`{"route":"chat","empty_content":true}`, "mistral-small-latest", checks.OK, checks.CauseNone, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, memory := provider(t, tc.fault), &kept{}
			r := run(t, url, "", memory, tc.model)
			if r.Status != tc.status || r.Cause != tc.cause {
				t.Errorf("%s %s: %s, want %s %s", r.Status, r.Cause, r.Summary, tc.status, tc.cause)
			}
			seen := usableOf(r)
			if value, known := seen[tc.model]; known && tc.status == checks.Failed && !tc.refuses || tc.refuses && (!known || value != 0) {
				t.Errorf("usable %v", seen)
			}
			for _, step := range r.Evidence {
				if step.Name == "usable" && step.OK != (tc.status == checks.OK) {
					t.Errorf("the evidence says usable %v: %s", step.OK, step.Detail)
				}
			}
			if tc.refuses && r.Usage != nil {
				t.Errorf("a refusal was billed: %+v", r.Usage)
			}
		})
	}
}

func TestWithoutModelsNobodyKnows(t *testing.T) {
	t.Parallel()
	if r := run(t, provider(t), "", nil); r.Status != checks.Unknown || r.Cause != checks.CauseConfig {
		t.Errorf("%s %s %s", r.Status, r.Cause, r.Summary)
	}
}

func TestAMemoryThatFailsIsNotGreen(t *testing.T) {
	t.Parallel()
	url := provider(t)
	const params = "models: [mistral-small-latest]"
	for name, tc := range map[string]struct {
		fails func(*kept)
		says  string
		lost  bool // what was known
	}{
		"cannot be read":  {func(k *kept) { k.loadError = errors.New("the disk is gone") }, "cannot be read: the disk is gone", false},
		"cannot be kept":  {func(k *kept) { k.saveError = errors.New("the disk is full") }, "cannot be kept: the disk is full", false},
		"holds something": {func(k *kept) { k.data = []byte("{broken") }, "it begins anew", true},
	} {
		memory := &kept{}
		run(t, url, params, memory)
		before := memory.data
		tc.fails(memory)
		if r := run(t, url, params, memory); r.Status != checks.Degraded || r.Cause != checks.CauseInternal || !strings.Contains(r.Summary, tc.says) || r.Usage == nil {
			t.Errorf("%s: %s %s: %s, usage %+v", name, r.Status, r.Cause, r.Summary, r.Usage)
		}
		if kept := string(memory.data) == string(before); kept == tc.lost {
			t.Errorf("%s: what was known is kept: %v, want %v", name, kept, !tc.lost)
		}
	}
	full := &kept{saveError: errors.New("the disk is full")}
	if r := run(t, url, "models: [labs-leanstral-1-5-1]", full); r.Status != checks.Failed || r.Cause != checks.CauseForbidden {
		t.Errorf("a refusal became %s %s", r.Status, r.Cause)
	}
}

// A model for embeddings gives no answer: what it costs is known without a price for one, and what it may cost is that.
func TestWhatAModelForEmbeddingsCostsIsKnown(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]struct {
		cost  checks.PicoUSD
		known bool
	}{
		"models: [mistral-embed]":                       {100_000, true},
		"models: [mistral-embed, mistral-small-latest]": {150_000, true},
		"models: [embedded-by-nobody]":                  {1_500_000, false},
		"models: [mistral-ocr-latest]":                  {1_500_000, false},
	} {
		check, err := usable.Kind().New(checktest.Decoder(params, ""), checks.Env{})
		if err != nil {
			t.Fatal(err)
		}
		paid, ok := check.(checks.Paid)
		if !ok {
			t.Fatal("the check does not say what it costs")
		}
		// A prompt of a few bytes counts as 256 tokens and them.
		if worst, known := paid.MaxCost(time.Now()); known != want.known || worst/want.cost < 256 || worst/want.cost > 300 {
			t.Errorf("%s: got %s, %v, want about 260 times %s, %v", params, worst, known, want.cost, want.known)
		}
		typical, ok := check.(checks.Typical)
		if !ok {
			t.Fatal("the check does not say what it costs as a rule")
		}
		if cost, known := typical.TypicalCost(time.Now()); known != want.known || cost > 40*want.cost {
			t.Errorf("%s: got %s, %v as a rule, want at most 40 times %s, %v", params, cost, known, want.cost, want.known)
		}
	}
}

// TestAModelThatCannotBeAskedKeepsNobodyFromBeingAsked: one that is neither for chat nor for embeddings.
func TestAModelThatCannotBeAskedKeepsNobodyFromBeingAsked(t *testing.T) {
	t.Parallel()
	url, memory := provider(t), &kept{}
	const params = "models: [mistral-ocr-3, labs-leanstral-1-5-1, mistral-small-latest]"
	ocr := false
	for range 6 {
		r := run(t, url, params, memory)
		if r.Facts["model"] == "mistral-ocr-3" {
			ocr = true
			if r.Usage != nil {
				t.Errorf("it was billed: %+v", r.Usage)
			}
		}
	}
	if r := run(t, url, params, memory); !ocr || len(usableOf(r)) < 2 || usableOf(r)["mistral-small-latest"] != 1 {
		t.Errorf("usable %v, the model was asked: %v", usableOf(r), ocr)
	}
}
