package prometheus_test

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/internal/promql/promqltest"
	"github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// canned is a network that gives one answer.
type canned struct {
	status int
	io.Reader
}

func (c canned) Open(context.Context, outbound.Request) (*outbound.Response, error) {
	return &outbound.Response{Status: c.status, Body: c}, nil
}
func (canned) Close() error              { return nil }
func (canned) Timings() outbound.Timings { return outbound.Timings{} }

func FuzzAnswer(f *testing.F) {
	for _, e := range promqltest.Load(f, "testdata/recorded.json").Exchanges {
		f.Add(e.Status, e.Body)
	}
	f.Add(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"l":"\u0000"},"value":[1,"1e400"]},{"metric":{"l":" "},"value":[1,"1"]}]},"warnings":["a\nb"],"infos":[""]}`)
	above := 5.0
	params := prometheus.Params{URL: "http://a.example", Queries: []prometheus.Query{{Name: "x", Query: "sum(up)", By: []string{"l", "status_code"}, Above: &above}}}
	f.Fuzz(func(t *testing.T, status int, body string) {
		check, err := prometheus.New(params, checks.Env{Network: canned{status, strings.NewReader(body)}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := checktest.Valid(r); err != nil {
			t.Error(err)
		}
		measured := 0
		for _, m := range r.Measurements {
			if m.Name == "query.x" {
				measured++
			}
		}
		if r.Status == checks.OK && (measured == 0 || status < 200 || status > 299) {
			t.Errorf("status %d gave ok with %d numbers: %s", status, measured, body)
		}
	})
}

func FuzzSelector(f *testing.F) {
	for _, text := range selectors() {
		f.Add(text)
	}
	for _, text := range expressions() {
		f.Add(text)
	}
	plain := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	f.Fuzz(func(t *testing.T, text string) {
		if !isSelector(text) {
			return
		}
		text = strings.TrimSpace(text)
		if !plain.MatchString(text) && (!strings.HasSuffix(text, "}") || strings.ContainsAny(text[:strings.IndexByte(text, '{')], "()[]\"'`+-*/#")) {
			t.Errorf("%q was taken for a selector", text)
		}
	})
}

// isSelector asks by the one rule that depends on it: the age of anything else cannot be seen.
func isSelector(text string) bool {
	p := prometheus.Params{
		URL: "http://a.example", Partial: prometheus.PolicyUnknown,
		Queries: []prometheus.Query{{Name: "x", Query: text, MaxAge: time.Minute}},
	}
	return p.Validate() == nil
}

func selectors() []string {
	return []string{
		"up", " up ", "a:b_c", `up{job="a"}`, `up {job="a", x!~"b.*"} `, `{__name__="up"}`, `{"a.b"}`, `up{a="}"}`, "up{a=`\\`}", `up{a='"'}`, `up{a="\""}`, "up{}", "sum",
	}
}

func expressions() []string {
	return []string{
		"", "1", "1.5", "NaN", "inf", "sum(up)", "up + up", "up[5m]", "up offset 1m", "up @ 1", `up{a="b"} + 1`, `up{a="b"}{c="d"}`, `up{a="b"`, `up{a="b}`, "up # all",
		"up{# }\n}", `"text"`, "-up", "9a", "a b", "rate(up[5m])", "up{{}}", "a-b", `up}`, "{",
	}
}

func TestOnlyASelectorTellsItsOwnAge(t *testing.T) {
	t.Parallel()
	for _, text := range selectors() {
		if !isSelector(text) {
			t.Errorf("%q was not taken for a selector", text)
		}
	}
	for _, text := range expressions() {
		if isSelector(text) {
			t.Errorf("%q was taken for a selector", text)
		}
	}
}
