package promsource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/otlptranslator"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend/internal/promsource"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

const preset = "preset: checklist_tokens\nauth: {bearer: a-reference}\n"

// fake is a server that tells the same rows of every window, and counts what it was asked.
type fake struct {
	mu      sync.Mutex // guards queries
	queries []string

	rows    []string                                                        // of every window
	present []string                                                        // of the present; nil is a sample of ten seconds ago
	answer  func(query string, at int64) (status int, body string, ok bool) // in place of these; nil is never
}

func row(part, model, direction, value string) string {
	return fmt.Sprintf(`{"metric":{"windsock_part":%q,"windsock_window":"W","model":%q,"direction":%q},"value":[T,%q]}`, part, model, direction, value)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	at, _ := strconv.ParseInt(r.FormValue("time"), 10, 64)
	f.mu.Lock()
	f.queries = append(f.queries, query)
	f.mu.Unlock()
	if f.answer != nil {
		if status, body, ok := f.answer(query, at); ok {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		}
	}
	_, _ = w.Write([]byte(f.well(query, at)))
}

// well is an answer as a real server gives it.
func (f *fake) well(query string, at int64) string {
	var all []string
	for i := 0; strings.Contains(query, fmt.Sprintf(`"windsock_window", "%d"`, i)); i++ {
		for _, text := range f.rows {
			all = append(all, strings.Replace(text, `"W"`, strconv.Quote(strconv.Itoa(i)), 1))
		}
	}
	if present(query) {
		now := f.present
		if now == nil {
			now = []string{row("oldest", "", "", strconv.FormatInt(at-10, 10))}
		}
		for _, text := range now {
			all = append(all, strings.Replace(text, `"windsock_window":"W",`, "", 1))
		}
	}
	body := strings.ReplaceAll(strings.Join(all, ","), "[T,", fmt.Sprintf("[%d,", at))
	return `{"status":"success","data":{"resultType":"vector","result":[` + body + `]}}`
}

// present is the query without which there is no Reading.
func present(query string) bool { return strings.Contains(query, "timestamp(") }

func (f *fake) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.queries)
	f.queries = nil
	return n
}

func usual() []string {
	return []string{row("grown", "small", "input", "1000"), row("first", "small", "input", "500"), row("grown", "small", "output", "100"), row("seen", "", "", "2")}
}

func with(more ...string) []string { return append(usual(), more...) }

func answers(status int, body string) *fake {
	return &fake{answer: func(string, int64) (int, string, bool) { return status, body, true }}
}

func success(kind, result string) string {
	return `{"status":"success","data":{"resultType":"` + kind + `","result":` + result + `}}`
}

func TestWhatIsNoNumberIsAProblemWithItsReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		server *fake
		cause  checks.Cause
		blame  checks.Blame
		says   string
	}{
		"a string":               {answers(200, success("string", `[1780000000,"text"]`)), checks.CauseBadRequest, checks.BlameConfig, "(string)"},
		"a matrix":               {answers(200, success("matrix", `[]`)), checks.CauseBadRequest, checks.BlameConfig, "(matrix)"},
		"a scalar":               {answers(200, success("scalar", fmt.Sprintf(`[%d,"7"]`, then().Unix()))), checks.CauseMalformed, checks.BlameOurs, "was not asked for"},
		"a native histogram":     {answers(200, success("vector", `[{"metric":{},"histogram":[1780000000,{}]}]`)), checks.CauseBadRequest, checks.BlameConfig, "native histogram"},
		"NaN":                    {&fake{rows: with(row("grown", "small", "input", "NaN"))}, checks.CauseAssertion, checks.BlameOurs, "NaN is not a finite number"},
		"an infinity":            {&fake{rows: with(row("first", "small", "input", "+Inf"))}, checks.CauseAssertion, checks.BlameOurs, "+Inf is not a finite number"},
		"less than nothing":      {&fake{rows: with(row("grown", "small", "input", "-1"))}, checks.CauseMalformed, checks.BlameOurs, "below zero"},
		"more than can be":       {&fake{rows: with(row("grown", "small", "input", "1e16"))}, checks.CauseAssertion, checks.BlameOurs, "more tokens than can be"},
		"a row nobody asked for": {&fake{rows: with(row("other", "small", "input", "1"))}, checks.CauseMalformed, checks.BlameOurs, "was not asked for"},
		"a window too many":      {&fake{rows: with(strings.Replace(row("grown", "", "", "1"), `"W"`, `"99"`, 1))}, checks.CauseMalformed, checks.BlameOurs, "a window that was not asked for"},
		"a window that is none":  {&fake{rows: with(strings.Replace(row("grown", "", "", "1"), `"W"`, `"-1"`, 1))}, checks.CauseMalformed, checks.BlameOurs, "a window that was not asked for"},
		"another time":           {answers(200, success("vector", strings.ReplaceAll("["+row("seen", "", "", "1")+"]", "[T,", "[1780000000,"))), checks.CauseMalformed, checks.BlameOurs, "another time"},
		"nothing":                {answers(200, success("vector", "[]")), checks.CauseEmptyContent, checks.BlameOurs, "no series of mistral_tokens_total at present, which is not nothing spent"},
		"nothing at present":     {&fake{rows: usual(), present: []string{}}, checks.CauseEmptyContent, checks.BlameOurs, "no series of mistral_tokens_total at present"},
		"old samples":            {&fake{rows: usual(), present: []string{row("oldest", "", "", strconv.FormatInt(then().Unix()-301, 10))}}, checks.CauseAssertion, checks.BlameOurs, "the oldest sample is 5m1s old, want at most 5m0s"},
		"no direction fits":      {&fake{rows: []string{row("grown", "small", "total", "7"), row("seen", "", "", "2")}}, checks.CauseConfig, checks.BlameOurs, "no value of the label direction"},
		"PromQL refused":         {answers(400, `{"status":"error","errorType":"bad_data","error":"no"}`), checks.CauseBadRequest, checks.BlameConfig, "bad_data: no"},
		"too many samples":       {answers(422, `{"status":"error","errorType":"execution","error":"too many samples"}`), checks.CauseBadRequest, checks.BlameConfig, "too many samples"},
		"the server's timeout":   {answers(503, `{"status":"error","errorType":"timeout","error":"no"}`), checks.CauseTimeout, checks.BlameOurs, "timeout: no"},
		"not allowed":            {answers(401, `no`), checks.CauseAuth, checks.BlameOurs, "401"},
		"a page":                 {answers(200, `<html>`), checks.CauseMalformed, checks.BlameOurs, "an HTML page"},
		"half an answer":         {answers(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric"`), checks.CauseMalformed, checks.BlameOurs, "cut or broken"},
		"a server that is down":  {answers(503, `down`), checks.CauseServer, checks.BlameOurs, "503"},
		"a warning":              {warned("receive series from store-2: deadline"), checks.CauseAssertion, checks.BlameOurs, "perhaps a part of the truth, the server warns: receive series from store-2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := read(t, open(t, outboundtest.Serve(t, tc.server.ServeHTTP), preset, nil, nil), then())
			holdProblem(t, r, err, tc.cause, tc.blame, tc.says)
		})
	}
}

func warned(text string) *fake {
	f := &fake{rows: usual()}
	f.answer = func(query string, at int64) (int, string, bool) {
		return 200, strings.Replace(f.well(query, at), `"data"`, `"warnings":[`+strconv.Quote(text)+`],"data"`, 1), true
	}
	return f
}

func holdProblem(t *testing.T, r source.Reading, err error, cause checks.Cause, blame checks.Blame, says string) {
	t.Helper()
	p, ok := errors.AsType[*source.Problem](err)
	if !ok {
		t.Fatalf("got %+v and %v, want a problem", r, err)
	}
	got := p.Blame
	if got == checks.BlameNone {
		got = p.Cause.Blame()
	}
	if p.Cause != cause || got != blame || !strings.Contains(p.Text, says) {
		t.Errorf("got %q, blame %q: %s\nwant %q, blame %q: …%s…", p.Cause, got, p.Text, cause, blame, says)
	}
	if form := checktest.Leak(p.Text, key); form != "" {
		t.Errorf("it tells the key (%s): %s", form, p.Text)
	}
}

func TestAServerThatCannotBeReachedOrHangsIsAProblem(t *testing.T) {
	t.Parallel()
	r, err := read(t, open(t, "http://"+outboundtest.Refused(t), preset, nil, nil), then())
	holdProblem(t, r, err, checks.CauseConnect, checks.BlameNetwork, "refused")
	url, _ := outboundtest.Hung(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, err = open(t, url, preset, nil, nil).Read(ctx, then())
	holdProblem(t, r, err, checks.CauseTimeout, checks.BlameOurs, "timeout")
	lone, err := promsource.New(promsource.Params{URL: url, Preset: promsource.PresetTokens}, promsource.Options{Prices: flat{}})
	if err != nil {
		t.Fatal(err)
	}
	r, err = lone.Read(t.Context(), then())
	holdProblem(t, r, err, checks.CauseInternal, checks.BlameOurs, "no network")
}

// TestWhatIsAskedOnce: complete hours and days do not change, and are not asked for again, not even after a restart.
func TestWhatIsAskedOnce(t *testing.T) {
	t.Parallel()
	server, state := &fake{rows: usual()}, &source.Transient{}
	url := outboundtest.Serve(t, server.ServeHTTP)
	ask := func(now time.Time, params string, queries, hours int) {
		t.Helper()
		r, err := read(t, open(t, url, params, state, nil), now)
		if err != nil {
			t.Fatal(err)
		}
		if n := server.asked(); n != queries || len(r.Hours) != hours || r.Month == nil {
			t.Errorf("%s: %d queries and %d hours, month %+v; want %d and %d", now, n, len(r.Hours), r.Month, queries, hours)
		}
	}
	ask(then(), preset, 9, 29)                     // the present, today, nine days four at a time, 29 hours eight at a time
	ask(then().Add(time.Minute), preset, 2, 29)    // nothing else
	ask(clock(15, 4), preset, 4, 43)               // 15:00 to 16:00 of fourteen days
	ask(clock(15, 5), preset, 3, 44)               // 14:00 to 15:00, whose samples are all there by now
	ask(clock(24, 4), preset, 7, 72)               // the next day: the day before, and the hours around midnight
	ask(clock(24, 5), preset, 4, 73)               // the day before again, for good, and its last hour
	ask(clock(24, 6), preset, 2, 73)               // nothing else
	ask(clock(24, 6), preset+"max_age: 1m", 2, 73) // which gives the same numbers
	ask(then(), preset+"matchers: a=\"b\"", 9, 29) // which gives others
	state.Save([]byte(`{"of":`))
	ask(then(), preset, 9, 29)
	state.Save([]byte(strings.Replace(string(state.Load()), `"hours":{`, `"hours":{"1":null,`, 1)))
	ask(then(), preset, 2, 29)
}

// TestWhatElseCannotBeToldLeavesTheHour: the last hour is told where the rest is refused, and the rest is not taken for zero.
func TestWhatElseCannotBeToldLeavesTheHour(t *testing.T) {
	t.Parallel()
	server := &fake{rows: usual()}
	server.answer = func(query string, _ int64) (int, string, bool) {
		return 422, `{"status":"error","errorType":"execution","error":"too many samples"}`, !present(query)
	}
	r, err := read(t, open(t, outboundtest.Serve(t, server.ServeHTTP), preset, nil, nil), then())
	if err != nil {
		t.Fatal(err)
	}
	if r.Hour == nil || r.Today != nil || r.Month != nil || len(r.Hours) > 0 || r.Confidence != source.Partial || !strings.Contains(r.Why, "today is not known") || len(r.Notes) != 3 {
		t.Errorf("got %+v", r)
	}
}

func TestTheAmountsOfAnHour(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rows   []string
		params string
		usd    float64
		tokens string
		open   []string // models without a price
		why    string
	}{
		"tokens":                    {usual(), "", 0.0036, "[{small cached 0} {small input 1500} {small output 100}]", nil, ""},
		"cached tokens":             {with(row("grown", "small", "cached", "500")), "", 0.0031, "[{small cached 500} {small input 1500} {small output 100}]", nil, ""},
		"more cached than input":    {with(row("grown", "small", "cached", "2000")), "", 0, "[{small cached 2000} {small input 1500} {small output 100}]", []string{"small"}, "more cached tokens than input"},
		"cached beside the input":   {with(row("grown", "small", "cached", "2000")), "tokens: {metric: mistral_tokens_total, input: [input, cached], cached: [cached], output: [output]}", 0.0056, "[{small cached 2000} {small input 3500} {small output 100}]", nil, ""},
		"a model without a price":   {with(row("grown", "nobody-knows", "input", "5")), "", 0.0036, "[{nobody-knows cached 0} {nobody-knows input 5} {nobody-knows output 0} {small cached 0} {small input 1500} {small output 100}]", []string{"nobody-knows"}, "models without a known price"},
		"an unknown model unused":   {with(row("grown", "nobody-knows", "input", "0")), "", 0.0036, "[{nobody-knows cached 0} {nobody-knows input 0} {nobody-knows output 0} {small cached 0} {small input 1500} {small output 100}]", nil, ""},
		"no model":                  {with(row("grown", "", "output", "5")), "", 0.0036, "[{small cached 0} {small input 1500} {small output 100} {unknown cached 0} {unknown input 0} {unknown output 5}]", []string{"unknown"}, ""},
		"free text, and a key":      {with(row("grown", "a b", "output", "5"), row("grown", key, "output", "5")), "", 0.0036, "[{other cached 0} {other input 0} {other output 10} {small cached 0} {small input 1500} {small output 100}]", []string{"other"}, ""},
		"another direction":         {with(row("grown", "small", "total", "1600")), "", 0.0036, "[{small cached 0} {small input 1500} {small output 100}]", nil, "tokens of a direction that is not among"},
		"a process found late":      {with(row("late", "", "", "2")), "", 0.0036, "[{small cached 0} {small input 1500} {small output 100}]", nil, "found late"},
		"dollars":                   {[]string{row("grown", "", "", "1.5"), row("first", "", "", "0.000001"), row("up", "", "", "1")}, "preset: checklist_cost", 1.500001, "[]", nil, ""},
		"nothing that was spent is": {[]string{row("grown", "small", "input", "0"), row("seen", "", "", "1")}, "", 0, "[{small cached 0} {small input 0} {small output 0}]", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params := tc.params
			if params == "" {
				params = "preset: checklist_tokens"
			}
			server := &fake{rows: tc.rows}
			r, err := read(t, open(t, outboundtest.Serve(t, server.ServeHTTP), params+"\nauth: {bearer: a-reference}", nil, nil), then())
			if err != nil || r.Hour == nil {
				t.Fatalf("got %+v, %v", r, err)
			}
			if got := fmt.Sprint(r.Hour.Tokens); r.Hour.Cost.USD() != tc.usd || got != tc.tokens || !slices.Equal(r.Hour.Unpriced, tc.open) {
				t.Errorf("got $%v for %s, unpriced %v\nwant $%v for %s, %v", r.Hour.Cost.USD(), got, r.Hour.Unpriced, tc.usd, tc.tokens, tc.open)
			}
			confidence := source.Estimated
			if strings.Contains(params, "cost") {
				confidence = source.Exact
			}
			if tc.why != "" || len(tc.open) > 0 {
				confidence = source.Partial
			}
			if r.Confidence != confidence || !strings.Contains(r.Why, tc.why) {
				t.Errorf("got %s because %q, want %s because of %q", r.Confidence, r.Why, confidence, tc.why)
			}
		})
	}
}

func TestAnHourThatIsNotKnownIsNotZero(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rows []string
		why  string
	}{
		"no data an hour ago": {usual()[:3], "the server has no data of an hour ago"},
		"one sample":          {usual()[3:], "too few samples in the last hour"},
	} {
		server := &fake{rows: tc.rows}
		r, err := read(t, open(t, outboundtest.Serve(t, server.ServeHTTP), preset, nil, nil), then())
		if err != nil || r.Hour != nil || r.Confidence != source.Partial || !strings.Contains(r.Why, tc.why) || len(r.Hours) > 0 {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}

// TestAPartOfNothingIsNotZero: where something may be missing, that nothing was found tells nobody that nothing was spent.
func TestAPartOfNothingIsNotZero(t *testing.T) {
	t.Parallel()
	idle := row("grown", "small", "input", "0")
	for name, tc := range map[string]struct {
		rows        []string
		hour, today bool // are known
	}{
		"idle":                   {[]string{idle, row("seen", "", "", "1")}, true, true},
		"a process found late":   {[]string{idle, row("seen", "", "", "1"), row("late", "", "", "1")}, false, false},
		"no data at its begin":   {[]string{idle}, false, false},
		"no data, and some cost": {usual()[:3], false, true},
	} {
		server := &fake{rows: tc.rows}
		r, err := read(t, open(t, outboundtest.Serve(t, server.ServeHTTP), preset, nil, nil), then())
		if err != nil || (r.Hour != nil) != tc.hour || (r.Today != nil) != tc.today || (r.Month != nil) != tc.today {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}

func TestAtMidnightNothingIsKnownOfTheDay(t *testing.T) {
	t.Parallel()
	server := &fake{rows: usual()}
	r, err := read(t, open(t, outboundtest.Serve(t, server.ServeHTTP), preset, nil, nil), clock(0, 0))
	if err != nil || r.Hour == nil || r.Today != nil || r.Month != nil {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAMonthOfMoreModelsThanAreToldApart(t *testing.T) {
	t.Parallel()
	server := &fake{rows: usual()}
	for i := range 80 {
		server.rows = append(server.rows, row("grown", fmt.Sprintf("model-%02d", i), "output", strconv.Itoa(i)))
	}
	r, err := read(t, open(t, outboundtest.Serve(t, server.ServeHTTP), "preset: checklist_tokens", nil, nil), then())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, n := range r.Month.Tokens {
		names[n.Model] = true
	}
	if len(names) != source.MaxModels || !names["model-79"] || names["model-00"] || !slices.Equal(r.Month.Unpriced, []string{source.OtherModel}) {
		t.Errorf("got %d models, unpriced %v", len(names), r.Month.Unpriced)
	}
}

// TestTheSpellingsOfTheConventions: what the translation to Prometheus makes of the histogram, with the unit of the
// conventions and with the one that some libraries write.
func TestTheSpellingsOfTheConventions(t *testing.T) {
	t.Parallel()
	server := &fake{rows: usual()}
	if _, err := read(t, open(t, outboundtest.Serve(t, server.ServeHTTP), "preset: genai", nil, nil), then()); err == nil {
		t.Error("other labels were taken for those of the conventions")
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	for _, unit := range []string{"{token}", "token"} {
		name, err := namer.Build(otlptranslator.Metric{Name: "gen_ai.client.token.usage", Unit: unit, Type: otlptranslator.MetricTypeHistogram})
		if err != nil || !strings.Contains(server.queries[0], "increase("+name+"_sum{}[3600s])") {
			t.Errorf("%q (%v) of the unit %s is not asked for", name, err, unit)
		}
	}
}
