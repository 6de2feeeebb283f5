package models_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/mistral/mistraltest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

const key = "canary-key-4711-abcdef"

// card is shaped as Mistral's (recorded October 2026), shortened.
func card(id, retires string, capabilities ...string) string {
	can := map[string]bool{"completion_fim": false, "vision": false}
	for _, c := range capabilities {
		can[c] = true
	}
	text, err := json.Marshal(can)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"id":%q,"object":"model","created":1760000000,"owned_by":"mistralai","capabilities":%s,"name":%q,"aliases":[],"deprecation":%s,"type":"base"}`, id, text, id, retires)
}

func list(cards ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer "+key {
			http.Error(w, `{"detail":"Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"object":"list","data":[`+strings.Join(cards, ",")+`]}`)
	}
}

func three() http.HandlerFunc {
	return list(
		card("mistral-small-latest", "null", "completion_chat", "function_calling"),
		card("mistral-embed", "null"),
		card("old-one", `"2027-01-31T12:00:00Z"`, "completion_chat"),
	)
}

func TestTheKindPassesTheSuite(t *testing.T) {
	const params = "expect: [mistral-embed]\nusable: {mistral-small-latest: [completion_chat]}\nmin_count: 3\n"
	checktest.Run(t, models.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params, Env: checks.Env{Provider: mistraltest.Client(t, outboundtest.Serve(t, three()), checktest.Secret(key))}}
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
			"an empty id":           "expect: ['']",
			"an id of two lines":    `expect: ["a\nb"]`,
			"an id twice":           "expect: [a, a]",
			"no capabilities":       "usable: {a: []}",
			"an empty capability":   "usable: {a: ['']}",
			"an id without a name":  "usable: {'': [vision]}",
			"a negative count":      "min_count: -1",
			"a text for a count":    "min_count: many",
			"a list that is a text": "expect: {a: b}",
		},
	})
}

func run(t *testing.T, params string, handler http.HandlerFunc) checks.Result {
	t.Helper()
	check, err := models.Kind().New(checktest.Decoder(params, ""), checks.Env{Provider: mistraltest.Client(t, outboundtest.Serve(t, handler), checktest.Secret(key))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("not valid: %v", err)
	}
	if r.Usage != nil {
		t.Errorf("billed %+v, want a free check", r.Usage)
	}
	return r
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		params string
		serve  http.HandlerFunc
		status checks.Status
		cause  checks.Cause
		says   string
	}{
		"all are there":                     {"expect: [mistral-small-latest, mistral-embed]", three(), checks.OK, "", "3 models listed, all 2 expected"},
		"nothing in particular":             {"", three(), checks.OK, "", "3 models listed"},
		"one is missing":                    {"expect: [mistral-embed, gone-1]", three(), checks.Failed, checks.CauseModelGone, "not listed: gone-1"},
		"many are missing":                  {"expect: [a, b, c, d, e, f, g]", three(), checks.Failed, checks.CauseModelGone, "a, b, c, d, e and 2 more"},
		"a usable one is expected too":      {"usable: {gone-1: [vision]}", three(), checks.Failed, checks.CauseModelGone, "gone-1"},
		"a capability is there":             {"usable: {mistral-small-latest: [completion_chat, function_calling]}", three(), checks.OK, "", ""},
		"a capability is false":             {"usable: {mistral-small-latest: [completion_chat, vision]}", three(), checks.Failed, checks.CauseAssertion, "mistral-small-latest vision"},
		"a capability nobody knows":         {"usable: {mistral-small-latest: [flying]}", three(), checks.Failed, checks.CauseAssertion, "flying"},
		"a card without capabilities":       {"usable: {x: [vision]}", list(`{"id":"x"}`), checks.Failed, checks.CauseAssertion, "x vision"},
		"a list that is too short":          {"min_count: 4", three(), checks.Failed, checks.CauseAssertion, "3 models listed, want at least 4"},
		"an empty list is no list":          {"", list(), checks.Failed, checks.CauseAssertion, "0 models listed, want at least 1"},
		"a missing one outranks the others": {"expect: [gone-1]\nusable: {mistral-embed: [vision]}\nmin_count: 9", three(), checks.Failed, checks.CauseModelGone, "gone-1"},
		"a wrong key":                       {"", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusUnauthorized) }, checks.Failed, checks.CauseAuth, "401"},
		"a page instead of a list":          {"", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello</html>") }, checks.Failed, checks.CauseMalformed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, tc.params, tc.serve)
			if r.Status != tc.status || r.Cause != tc.cause || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %q: %q, want %s %q: …%s…", r.Status, r.Cause, r.Summary, tc.status, tc.cause, tc.says)
			}
			for _, m := range r.Measurements {
				if row, ok := exporters.Lookup(m.Name); !ok || row.Unit != m.Unit {
					t.Errorf("%s with unit %q is not in the catalogue", m.Name, m.Unit)
				}
			}
		})
	}
}

func TestTheListIsMeasured(t *testing.T) {
	t.Parallel()
	r := run(t, "expect: [old-one, mistral-embed]", three())
	want := map[string]float64{
		"probe.llm.models": 3, "probe.http.status_code": 200,
		"probe.llm.model.retirement_time old-one": float64(time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC).Unix()),
		"probe.llm.model.listed old-one":          1, "probe.llm.model.listed mistral-embed": 1,
		"probe.llm.model.alias_info old-one": 1, "probe.llm.model.alias_info mistral-embed": 1,
		"probe.llm.model.price.usd input mistral-embed": 0.1, "probe.llm.model.price.usd cached mistral-embed": 0.01,
	}
	for _, m := range r.Measurements {
		name := strings.Join(slices.DeleteFunc([]string{m.Name, m.Attrs["direction"], m.Attrs["model"]}, func(s string) bool { return s == "" }), " ")
		if value, ok := want[name]; !ok || value != m.Value {
			t.Errorf("%s %v %v, want %v", m.Name, m.Value, m.Attrs, value)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
}

func TestAProviderThatCannotListIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := models.New(models.Params{}, checks.Env{Provider: 7}); err == nil {
		t.Error("a number was taken for a provider")
	}
	check, err := models.New(models.Params{}, checks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := check.Run(t.Context()); err == nil || r.Cause != checks.CauseConfig {
		t.Errorf("without a provider the run gave %v, %v, want an error of the configuration", r, err)
	}
}

func ids(n int) []string {
	all := make([]string, 0, n)
	for i := range n {
		all = append(all, fmt.Sprintf("model-%d", i))
	}
	return all
}

func TestBadParametersAreRefusedAtTheirPlace(t *testing.T) {
	t.Parallel()
	for params, path := range map[string]string{"expect: [a, '']": "expect.1", "usable: {a: []}": "usable.a", "min_count: -1": "min_count", "watch: {" + strings.Join(ids(21), ": {}, ") + ": {}}": "watch"} {
		err := models.Kind().Validate(checktest.Decoder(params, ""))
		if param, ok := errors.AsType[*checks.ParamError](err); !ok || param.Path != path {
			t.Errorf("%s gave %v, want an error at %s", params, err, path)
		}
	}
}
