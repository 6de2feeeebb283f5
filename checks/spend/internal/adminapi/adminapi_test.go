package adminapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend/internal/adminapi"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

const (
	adminKey     = "admin-key-0123456789"
	inferenceKey = "inference-key-0123456789"
)

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// provider is an admin API whose pages a test writes.
type provider struct {
	mu      sync.Mutex
	pages   map[string]string // by the last part of the path
	status  map[string]int
	methods []string
	asked   []string
	keys    []string
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.methods = append(p.methods, r.Method)
	p.asked = append(p.asked, r.URL.String())
	p.keys = append(p.keys, r.Header.Get("X-Api-Key")+"|"+r.Header.Get("Authorization"))
	page := strings.TrimPrefix(r.URL.Path, "/v1/admin/")
	if status := p.status[page]; status != 0 {
		w.WriteHeader(status)
	}
	fmt.Fprint(w, p.pages[page])
}

func (p *provider) set(page, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[page] = body
}

// The pages of an account that is well.
const (
	limitsPage = `{"limits":{"completion":{"monthly_limit_reached":false,"usage":12.5,"vibe_usage":2,"total_usage":14.5,"usage_limit":100},` +
		`"last_payment_failure":false,"last_payment_failure_protection":null,"currency":"USD"}}`
	ratesPage = `{"requests_per_second":6,"tokens_limits_by_model":{}}`
	usagePage = `{"completion":{"models":{"mistral-small-latest::mistral-small-2603":{"input":[{"billing_metric":"mistral-small-2603","billing_group":"input",` +
		`"value":80000000,"value_paid":80000000}],"output":[{"billing_metric":"mistral-small-2603","billing_group":"output","value":833333}]}}},` +
		`"ocr":{"models":{}},"vibe_code":{"completion":{"models":{"devstral":{"input":[{"value":5}]}}}},"start_date":"2026-11-01T00:00:00Z","currency":"USD",` +
		`"prices":[{"billing_metric":"mistral-small-2603","billing_group":"input","price":"0.00000015"},{"billing_metric":"mistral-small-2603","billing_group":"output","price":6e-7}]}`
)

func serve(t *testing.T) (*provider, string) {
	t.Helper()
	p := &provider{pages: map[string]string{"usage": usagePage, "spend-limit": limitsPage, "rate-limit": ratesPage}, status: map[string]int{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, server.URL
}

func network(t *testing.T) *outbound.Network {
	t.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func api(t *testing.T, url, key string, state source.State) *adminapi.API {
	t.Helper()
	p := adminapi.Params{BaseURL: url, APIKey: checktest.Secret(key)}
	if err := p.Validate("admin_api"); err != nil {
		t.Fatal(err)
	}
	return adminapi.New(p, network(t), state)
}

func problem(t *testing.T, a *adminapi.API, now time.Time) *source.Problem {
	t.Helper()
	r, err := a.Read(t.Context(), now)
	p, ok := errors.AsType[*source.Problem](err)
	if !ok || r.Month != nil || p.Text == "" || p.Cause == checks.CauseNone {
		t.Fatalf("got %+v, %v, want a problem", r, err)
	}
	return p
}

func good(t *testing.T, a *adminapi.API, now time.Time) source.Reading {
	t.Helper()
	r, err := a.Read(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheMonthIsWhatTheProviderSays(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	got := good(t, api(t, url, adminKey, nil), noon())
	want := source.Reading{
		AsOf: noon(), Confidence: source.Exact,
		Month: &source.Amount{Cost: 12_500_000_000_000, Requests: -1, Tokens: []source.Tokens{
			{Model: "mistral-small-2603", Direction: source.Input, N: 80_000_000}, {Model: "mistral-small-2603", Direction: source.Output, N: 833_333},
		}},
		Notes: []string{"14% of the month's spend limit is used"},
		Extra: []checks.Measurement{
			{Name: "spend.limit.usd", Value: 100},
			{Name: "probe.llm.rate_limit.limit", Value: 6, Attrs: map[string]string{"resource": "requests", "window": "second"}},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestItOnlyEverReads(t *testing.T) {
	t.Parallel()
	p, url := serve(t)
	a := api(t, url+"/", adminKey, nil)
	good(t, a, noon())
	p.status["spend-limit"], p.status["usage"] = http.StatusInternalServerError, http.StatusTemporaryRedirect
	if bad := problem(t, a, noon()); !strings.Contains(bad.Text, "307") {
		t.Errorf("got %q", bad.Text)
	}
	for _, method := range p.methods {
		if method != http.MethodGet {
			t.Errorf("it sent %s", method)
		}
	}
	want := []string{"/v1/admin/usage?month=11&year=2026", "/v1/admin/spend-limit", "/v1/admin/rate-limit", "/v1/admin/usage?month=11&year=2026"}
	if !slices.Equal(p.asked, want) {
		t.Errorf("got %q, want %q", p.asked, want)
	}
}

func TestTheKeyGoesWhereItIsToldTo(t *testing.T) {
	t.Parallel()
	p, url := serve(t)
	good(t, api(t, url, adminKey, nil), noon())
	a := adminapi.New(adminapi.Params{BaseURL: url, APIKey: checktest.Secret(adminKey), Header: adminapi.HeaderBearer}, network(t), nil)
	good(t, a, noon())
	if p.keys[0] != adminKey+"|" || p.keys[3] != "|Bearer "+adminKey {
		t.Errorf("got %q", p.keys)
	}
}

// What the pages may lack or have wrong, and what becomes of the month: an amount, or no number and a reason.
func TestPagesThatAreNotAsExpected(t *testing.T) {
	t.Parallel()
	usage := func(from, to string) string { return strings.Replace(usagePage, from, to, 1) }
	silent := strings.Replace(limitsPage, `"usage":12.5,"vibe_usage":2,"total_usage":14.5`, `"usage":null`, 1)
	const priced = 12_000_000_000_000 + 499_999_800_000
	for name, tt := range map[string]struct {
		usage, limits string
		month         checks.PicoUSD // 0: nobody can tell
		says          string
	}{
		"the limits say nothing":        {usagePage, silent, priced, ""},
		"only a total":                  {usagePage, strings.Replace(limitsPage, `"usage":12.5,`, ``, 1), priced, ""},
		"usage is another shape":        {`{"completion":[]}`, limitsPage, 12_500_000_000_000, "no list of models"},
		"both are another shape":        {`{"completion":[]}`, `{"limits":7}`, 0, "no list of models"},
		"a list is another shape":       {usage(`"value":833333`, `"amount":833333`), limitsPage, 12_500_000_000_000, ""},
		"and nobody else knows":         {usage(`"value":833333`, `"amount":833333`), silent, 0, "an item without a quantity"},
		"a price is missing":            {usage(`"billing_group":"output","price"`, `"billing_group":"other","price"`), silent, 0, "an item without a price"},
		"two prices":                    {usage(`"prices":[`, `"prices":[{"billing_metric":"mistral-small-2603","billing_group":"input","api_zone":"eu","price":1},`), silent, 0, "an item with several prices"},
		"a negative price":              {usage(`6e-7`, `-6e-7`), silent, 0, "a price that is none"},
		"a price that is no number":     {usage(`6e-7`, `"free"`), silent, 0, "a price that is none"},
		"a negative quantity":           {usage(`833333`, `-833333`), silent, 0, "an item without a quantity"},
		"an absurd quantity":            {usage(`833333`, `1e99`), silent, 0, "a sum that cannot be"},
		"an absurd amount":              {usagePage, strings.Replace(limitsPage, "12.5", "-1", 1), priced, "a usage that is no amount"},
		"an amount in words":            {usagePage, strings.Replace(limitsPage, "12.5", `"much"`, 1), priced, "a usage that is no amount"},
		"an amount in a text":           {usagePage, strings.Replace(limitsPage, "12.5", `"12.51"`, 1), 12_510_000_000_000, ""},
		"euros":                         {usage(`"USD"`, `"EUR"`), strings.Replace(limitsPage, "USD", "EUR", 1), 0, "counts in EUR, not in USD: amounts are not converted"},
		"no currency":                   {usage(`"currency":"USD",`, ``), strings.Replace(limitsPage, `"USD"`, "null", 1), 0, "names no currency"},
		"a secret for a currency":       {usage(`"USD"`, `"`+adminKey+`"`), strings.Replace(limitsPage, "USD", adminKey, 1), 0, "names no currency"},
		"another month":                 {usage(`2026-11-01`, `2026-10-01`), silent, 0, "of another month"},
		"not JSON":                      {`<html>`, limitsPage, 0, "the page usage is not a JSON object"},
		"a list":                        {`[]`, limitsPage, 0, "the page usage is not a JSON object"},
		"nothing":                       {``, limitsPage, 0, "the page usage is not a JSON object"},
		"they disagree":                 {usagePage, strings.Replace(limitsPage, "12.5", "20", 1), 20_000_000_000_000, "the page usage at its prices is $12.500000, the page spend-limit says $20.000000"},
		"the limit is reached":          {usagePage, strings.Replace(limitsPage, "reached\":false", "reached\":true", 1), 12_500_000_000_000, "limit is reached"},
		"the payment failed":            {usagePage, strings.Replace(limitsPage, "failure\":false", "failure\":true", 1), 12_500_000_000_000, "the last payment failed"},
		"a group of another kind":       {usage(`"output":[`, `"audio":[`), limitsPage, 12_500_000_000_000, ""},
		"deep nesting is no trouble":    {usage(`"ocr":{"models":{}}`, `"ocr":`+strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000)), limitsPage, 12_500_000_000_000, ""},
		"what nobody knows is no harm":  {usage(`"ocr"`, `"news":[],"ocr"`), silent, priced, ""},
		"a new kind of usage is priced": {usage(`"ocr":{"models":{}}`, `"video":{"models":{"m":{"seconds":[{"value":1}]}}}`), silent, 0, "an item without billing_metric"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, url := serve(t)
			p.set("usage", tt.usage)
			p.set("spend-limit", tt.limits)
			a := api(t, url, adminKey, nil)
			if tt.month == 0 {
				if got := problem(t, a, noon()); !strings.Contains(got.Text, tt.says) || strings.Contains(got.Text, adminKey) {
					t.Errorf("got %q, want %q", got.Text, tt.says)
				}
				return
			}
			r := good(t, a, noon())
			told := r.Notes
			for _, alarm := range r.Alarms {
				told = append(told, alarm.Text)
			}
			if r.Month.Cost != tt.month || !strings.Contains(strings.Join(told, "; "), tt.says) {
				t.Errorf("got %d, %q, want %d, %q", r.Month.Cost, told, tt.month, tt.says)
			}
		})
	}
}

func TestRefusalsSayWhoseFaultTheyAre(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]struct {
		cause checks.Cause
		blame checks.Blame
		says  string
	}{
		401: {checks.CauseAuth, checks.BlameAccount, "an inference key is not an admin key"},
		403: {checks.CauseForbidden, checks.BlameAccount, "no admin API"},
		404: {checks.CauseForbidden, checks.BlameAccount, "no admin API"},
		429: {checks.CauseRateLimited, "", "429"},
		503: {checks.CauseServer, "", "503"},
		204: {checks.CauseMalformed, "", "204"},
	} {
		p, url := serve(t)
		p.status["usage"] = status
		if status != 204 {
			p.set("usage", `{"detail":"your key `+adminKey+` is bad"}`)
		} else {
			p.set("usage", "")
		}
		got := problem(t, api(t, url, adminKey, nil), noon())
		if got.Cause != want.cause || got.Blame != want.blame || !strings.Contains(got.Text, want.says) || strings.Contains(got.Text, adminKey) {
			t.Errorf("%d: got %+v, want %+v", status, got, want)
		}
	}
}

func TestWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	if p := problem(t, api(t, "http://"+outboundtest.Refused(t), adminKey, nil), noon()); p.Cause != checks.CauseConnect {
		t.Errorf("got %+v", p)
	}
	if p := problem(t, adminapi.New(adminapi.Params{APIKey: checktest.Secret(adminKey)}, nil, nil), noon()); p.Cause != checks.CauseInternal {
		t.Errorf("got %+v", p)
	}
}

type memory struct{ data []byte }

func (m *memory) Load() []byte     { return m.data }
func (m *memory) Save(data []byte) { m.data = data }

func TestTheHourAndTheDayAreDifferences(t *testing.T) {
	t.Parallel()
	p, url := serve(t)
	state := &memory{}
	at := func(now time.Time, usd string) source.Reading {
		t.Helper()
		p.set("spend-limit", strings.Replace(limitsPage, "12.5", usd, 1))
		p.set("usage", strings.Replace(usagePage, "2026-11-01", now.Format("2006-01")+"-01", 1))
		return good(t, api(t, url, adminKey, state), now) // a new one each time: the state is what lasts
	}
	check := func(r source.Reading, hour, today string) {
		t.Helper()
		show := func(a *source.Amount) string {
			if a == nil {
				return "?"
			}
			return a.Cost.String()
		}
		if show(r.Hour) != hour || show(r.Today) != today {
			t.Errorf("got %s and %s, want %s and %s", show(r.Hour), show(r.Today), hour, today)
		}
	}
	midnight := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	check(at(midnight.Add(-30*time.Minute), "10"), "?", "?")
	check(at(midnight.Add(15*time.Minute), "11"), "?", "$1.000000")
	check(at(midnight.Add(30*time.Minute), "12"), "$2.000000", "$2.000000")
	check(at(midnight.Add(75*time.Minute), "15"), "$4.000000", "$5.000000")
	check(at(midnight.Add(23*time.Hour), "20"), "?", "$10.000000")
	r := at(midnight.Add(23*time.Hour+10*time.Minute), "18")
	check(r, "?", "?")
	if !strings.Contains(strings.Join(r.Notes, "; "), "took back $2.000000 of the month at 23:10 UTC") {
		t.Errorf("got %q", r.Notes)
	}
	check(at(midnight.Add(24*time.Hour+10*time.Minute), "19"), "$1.000000", "$1.000000")
	december := time.Date(2026, 12, 1, 1, 0, 0, 0, time.UTC)
	check(at(december, "0.5"), "$0.500000", "$0.500000")
	if len(state.data) > 1000 {
		t.Errorf("%d bytes are kept", len(state.data))
	}
}

func TestAYearOfReadingsIsNotKept(t *testing.T) {
	t.Parallel()
	_, url := serve(t)
	state := &memory{}
	a := api(t, url, adminKey, state)
	for i := range 300 {
		good(t, a, noon().Add(time.Duration(i)*time.Minute))
	}
	var kept struct {
		Points []json.RawMessage `json:"points"`
	}
	if err := json.Unmarshal(state.data, &kept); err != nil || len(kept.Points) > 70 || len(kept.Points) < 50 {
		t.Errorf("%d points, %v", len(kept.Points), err)
	}
	for _, data := range []string{"", "{", "null", `{"month":"2026-11","basis":"spend-limit","points":null}`} {
		state.data = []byte(data)
		good(t, a, noon())
	}
}

func TestTheSimulatorsBillIsWhatItBilled(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Keys: map[string]bool{inferenceKey: true}, AdminKeys: map[string]bool{adminKey: true}})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	for range 3 {
		ask(t, server.URL)
	}
	billed := sim.Stats().Billed["mistral-medium-latest"]
	r := good(t, api(t, server.URL, adminKey, nil), time.Now())
	if want := checks.PicoUSD(billed.PromptTokens*1_500_000 + billed.CompletionTokens*7_500_000); r.Month.Cost != want || want == 0 || len(r.Notes) != 1 {
		t.Errorf("got %d, %q, want %d", r.Month.Cost, r.Notes, want)
	}
	if len(r.Month.Tokens) != 2 || r.Month.Tokens[0].N != billed.PromptTokens {
		t.Errorf("got %+v", r.Month.Tokens)
	}
	if p := problem(t, api(t, server.URL, inferenceKey, nil), time.Now()); p.Cause != checks.CauseAuth || p.Blame != checks.BlameAccount {
		t.Errorf("an inference key: got %+v", p)
	}
}

func ask(t *testing.T, url string) {
	t.Helper()
	body := `{"model":"mistral-medium-latest","messages":[{"role":"user","content":"How is the weather?"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+inferenceKey)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
}

func TestParametersThatCannotBeUsedAreNamed(t *testing.T) {
	t.Parallel()
	key := checktest.Secret(adminKey)
	for says, p := range map[string]adminapi.Params{
		"":             {APIKey: key},
		"s.api_key: ":  {},
		"s.base_url: ": {APIKey: key, BaseURL: "https://api.mistral.ai/v1"},
		"s.base_url":   {APIKey: key, BaseURL: "ftp://x"},
		"s.header: ":   {APIKey: key, Header: "cookie"},
	} {
		err := p.Validate("s")
		if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func FuzzPages(f *testing.F) {
	f.Add(usagePage, limitsPage)
	f.Add(`{"completion":{"models":{"a":{"b":[null,1,{}]}}},"currency":"usd"}`, `{"limits":{"completion":{"usage":1e-99},"currency":"USD"}}`)
	f.Fuzz(func(t *testing.T, usage, limits string) {
		out := pages{"usage": usage, "spend-limit": limits}
		a := adminapi.New(adminapi.Params{APIKey: checktest.Secret(adminKey)}, out, nil)
		r, err := a.Read(t.Context(), noon())
		_, is := errors.AsType[*source.Problem](err)
		switch {
		case err != nil && !is:
			t.Errorf("%T is no problem", err)
		case err == nil && (r.Month == nil || r.Month.Cost < 0):
			t.Errorf("%q, %q: got %+v", usage, limits, r.Month)
		}
	})
}
