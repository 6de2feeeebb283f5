package app_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

const key = "canary-key-4711-abcdef"

func network(t *testing.T) *outbound.Network {
	t.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

const (
	inside = `{"status":"ok","services":{"mistral":{"status":"healthy","provider":"mistral","latencyMs":41.5,"model":"mistral-small-latest","error":null}}}`
	pong   = `{"reply":"pong"}`
)

// says answers every request the same.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// application is a small one: a health route and a chat route.
func application(health, chat http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /health":
			health(w, r)
		case "POST /chat":
			chat(w, r)
		default:
			http.NotFound(w, r)
		}
	}
}

func params(url, more string) string { return "url: " + url + "/health\n" + more }

// chatOf is the section of the chat route, to which more is added.
func chatOf(url, more string) string {
	text := "chat:\n  url: " + url + "/chat\n  body: {message: ping, deep: {list: [1, 2]}}\n"
	return text + "  " + strings.ReplaceAll(more, "\n", "\n  ")
}

func build(t *testing.T, params string) checks.Check {
	t.Helper()
	check, err := app.Kind().New(checktest.Decoder(params, key), checks.Env{Network: network(t)})
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// run runs a check and holds what every result obeys.
func run(t *testing.T, params string) checks.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := build(t, params).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, r)
	return r
}

func valid(t *testing.T, r checks.Result) {
	t.Helper()
	if err := checktest.Valid(r); err != nil {
		t.Error(err)
	}
	if form := checktest.Leak(fmt.Sprintf("%+v", r), key); form != "" {
		t.Errorf("the result holds the key (%s): %+v", form, r)
	}
	for _, m := range r.Measurements {
		row, ok := exporters.Lookup(m.Name)
		if !ok || row.Unit != m.Unit {
			t.Errorf("measurement %s in %q is not in the catalogue so", m.Name, m.Unit)
		}
		for attr := range m.Attrs {
			if !slices.Contains(row.Attrs, attr) {
				t.Errorf("measurement %s has attribute %s, which the catalogue does not know", m.Name, attr)
			}
		}
	}
}

func TestTheKindPassesTheSuite(t *testing.T) {
	auth := "auth: {bearer: {env: APP_TOKEN}}\n"
	checktest.Run(t, app.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			url := serve(t, application(says(200, inside), says(200, pong)))
			return checktest.Case{Params: params(url, auth+chatOf(url, auth+"expect: {jq: .reply}\nmax_cost_usd: 0.001")), Env: checks.Env{Network: network(t)}}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params("http://"+outboundtest.Refused(t), auth), Env: checks.Env{Network: network(t)}}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			return checktest.Case{Params: params(url, auth), Env: checks.Env{Network: network(t)}, Reached: reached}
		},
		Refused: map[string]string{
			"no URL":               "service: mistral",
			"a file":               "url: file:///etc/passwd",
			"a URL with a user":    "url: http://me:pass@app.test/health",
			"no service":           params("http://app.test", "service: ''"),
			"a service of words":   params("http://app.test", "service: the mistral"),
			"a negative age":       params("http://app.test", "max_age: -1s"),
			"a user alone":         params("http://app.test", "auth: {basic: {username: me}}"),
			"a certificate alone":  params("http://app.test", "tls: {cert_file: a.pem}"),
			"a chat without URL":   params("http://app.test", "chat: {body: {a: 1}}"),
			"a chat that asks not": params("http://app.test", "chat: {url: 'http://app.test/chat'}"),
			"an odd status":        params("http://app.test", chatOf("http://app.test", "status: [100]")),
			"a negative cost":      params("http://app.test", chatOf("http://app.test", "max_cost_usd: -1")),
			"a cost without end":   params("http://app.test", chatOf("http://app.test", "max_cost_usd: .inf")),
			"a bad expression":     params("http://app.test", chatOf("http://app.test", "expect: {jq: '.a |'}")),
			"a plain credential":   params("http://app.test", chatOf("http://app.test", "headers: {Authorization: Bearer x}")),
			"a large request":      params("http://app.test", chatOf("http://app.test", "body: {a: '"+strings.Repeat("a", 70000)+"'}")),
		},
	})
}

func TestHealthIsJudged(t *testing.T) {
	t.Parallel()
	in := func(service string) string { return `{"status":"up","services":{"mistral":` + service + `}}` }
	for name, tc := range map[string]struct {
		code   int
		body   string
		more   string
		status checks.Status
		cause  checks.Cause
		blame  checks.Blame
		says   string
	}{
		"among the services":              {200, inside, "", checks.OK, "", "", "mistral is healthy, with 200 OK"},
		"at the root":                     {200, `{"status":"Healthy","provider":"mistral","latencyMs":1}`, "", checks.OK, "", "", "healthy"},
		"another service":                 {200, `{"services":{"llm":{"status":"healthy"}}}`, "service: llm", checks.OK, "", "", "llm is healthy"},
		"degraded":                        {200, in(`{"status":"degraded","error":"slow"}`), "", checks.Degraded, checks.CauseAssertion, checks.BlameApplication, "mistral is degraded"},
		"unhealthy with 503":              {503, in(`{"status":"unhealthy","error":"429"}`), "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "unhealthy, with 503"},
		"unhealthy with 200":              {200, in(`{"status":"unhealthy"}`), "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "the two disagree"},
		"healthy with 503":                {503, inside, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "the two disagree"},
		"degraded with 500":               {500, in(`{"status":"degraded"}`), "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "the two disagree"},
		"healthy with an error":           {200, in(`{"status":"healthy","error":"quota"}`), "", checks.Degraded, checks.CauseAssertion, checks.BlameApplication, "has an error text"},
		"healthy with an error object":    {200, in(`{"status":"healthy","error":{"message":"quota"}}`), "", checks.Degraded, checks.CauseAssertion, checks.BlameApplication, "has an error text"},
		"healthy with no error at all":    {200, in(`{"status":"healthy","error":""}`), "", checks.OK, "", "", ""},
		"a word that nobody knows":        {200, in(`{"status":"UP"}`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "another word, want"},
		"the empty word":                  {200, in(`{"status":""}`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "another word"},
		"a status that is a number":       {200, in(`{"status":200}`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "another word"},
		"no status":                       {200, in(`{"provider":"mistral"}`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "without a status"},
		"a service that is true":          {200, in(`true`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not an object"},
		"a service that is null":          {200, in(`null`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not an object"},
		"services without it":             {200, `{"status":"healthy","services":{"db":{"status":"healthy"}}}`, "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "services without mistral"},
		"services that are a list":        {200, `{"status":"healthy","services":["mistral"]}`, "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "services that are not an object"},
		"a list":                          {200, `[{"status":"healthy"}]`, "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not an object"},
		"a word alone":                    {200, `"healthy"`, "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not an object"},
		"null":                            {200, `null`, "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not an object"},
		"a 200 with an error inside":      {200, `{"error":"no such route"}`, "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "without a status"},
		"HTML":                            {200, "<!DOCTYPE html><html>healthy</html>", "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "with HTML, want"},
		"text":                            {200, "OK", "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not JSON"},
		"JSON and more":                   {200, inside + "}", "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not JSON"},
		"nothing":                         {200, "", "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "an empty body"},
		"no content":                      {204, "", "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "204 No Content with an empty body"},
		"too deep":                        {200, strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "not JSON"},
		"too large":                       {200, `{"a":"` + strings.Repeat("a", 300<<10) + `"}`, "", checks.Failed, checks.CauseResponseTooLarge, checks.BlameApplication, "larger than its bound"},
		"a latency that is text":          {200, in(`{"status":"healthy","latencyMs":"12"}`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "latencyMs"},
		"a negative latency":              {200, in(`{"status":"healthy","latencyMs":-1}`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "latencyMs"},
		"a latency beyond numbers":        {200, in(`{"status":"healthy","latencyMs":1e309}`), "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "latencyMs"},
		"a gateway's page":                {502, "<html>bad gateway</html>", "", checks.Failed, checks.CauseServer, checks.BlameApplication, "502 Bad Gateway with HTML"},
		"a 500 and nothing":               {500, "", "", checks.Failed, checks.CauseServer, checks.BlameApplication, "500 Internal Server Error with an empty body"},
		"not found":                       {404, "404 page not found", "", checks.Failed, checks.CauseBadRequest, checks.BlameConfig, "404 Not Found"},
		"a healthy body under a 404":      {404, inside, "", checks.Failed, checks.CauseBadRequest, checks.BlameConfig, "404"},
		"credentials are wanted":          {401, `{"error":"who?"}`, "", checks.Failed, checks.CauseAuth, checks.BlameConfig, "401"},
		"credentials are not enough":      {403, `{}`, "", checks.Failed, checks.CauseForbidden, checks.BlameConfig, "403"},
		"too many requests":               {429, `{}`, "", checks.Failed, checks.CauseRateLimited, checks.BlameApplication, "429"},
		"a timestamp of long ago":         {200, `{"status":"healthy","timestamp":"2020-01-01T00:00:00Z"}`, "max_age: 1m", checks.Degraded, checks.CauseAssertion, checks.BlameApplication, "the answer is of 2020-01-01T00:00:00Z"},
		"a timestamp of far ahead":        {200, `{"status":"healthy","timestamp":4102444800}`, "max_age: 1m", checks.Degraded, checks.CauseAssertion, checks.BlameApplication, "2100-01-01"},
		"any age":                         {200, `{"status":"healthy","timestamp":1577836800000}`, "", checks.OK, "", "", ""},
		"no timestamp where one is asked": {200, inside, "max_age: 1m", checks.Degraded, checks.CauseAssertion, checks.BlameApplication, "no timestamp"},
		"a timestamp that is none":        {200, `{"status":"healthy","timestamp":"yesterday"}`, "", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, params(serve(t, says(tc.code, tc.body)), tc.more))
			if r.Status != tc.status || r.Cause != tc.cause || r.Blame != tc.blame || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %q blame %q: %q, want %s %q blame %q: …%s…", r.Status, r.Cause, r.Blame, r.Summary, tc.status, tc.cause, tc.blame, tc.says)
			}
			if good := !slices.ContainsFunc(r.Evidence, func(s checks.Step) bool { return !s.OK }); good != (tc.status == checks.OK) {
				t.Errorf("the evidence is %+v", r.Evidence)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for location, says := range map[string]string{
		elsewhere + "/login?next=/health&token=" + key: "looks like a login", elsewhere + "/other": "a redirect, which",
	} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, location, http.StatusFound) })
		r := run(t, params(url, ""))
		if r.Status != checks.Failed || r.Cause != checks.CauseUnexpectedRedirect || r.Blame != checks.BlameApplication || !strings.Contains(r.Summary, says) {
			t.Errorf("%s %q blame %q: %q, want unexpected_redirect: …%s…", r.Status, r.Cause, r.Blame, r.Summary, says)
		}
	}
}

func TestAnApplicationThatIsNotThere(t *testing.T) {
	t.Parallel()
	hangUp := "http://" + outboundtest.Raw(t, func(conn net.Conn, _ <-chan struct{}) { _, _ = conn.Read(make([]byte, 4096)) })
	for name, tc := range map[string]struct {
		url   string
		cause checks.Cause
		blame checks.Blame
	}{
		"nobody listens":        {"http://" + outboundtest.Refused(t), checks.CauseConnect, checks.BlameApplication},
		"it hangs up":           {hangUp, checks.CauseConnect, checks.BlameApplication},
		"no TLS":                {strings.Replace(hangUp, "http:", "https:", 1), checks.CauseTLS, checks.BlameNone},
		"the agent's own guard": {"http://169.254.169.254", checks.CauseConfig, checks.BlameNone},
	} {
		r := run(t, params(tc.url, chatOf(tc.url, "max_cost_usd: 1")))
		if r.Status == checks.OK || r.Cause != tc.cause || r.Blame != tc.blame || r.Usage != nil {
			t.Errorf("%s: %s %q blame %q, usage %v, want %q blame %q", name, r.Status, r.Cause, r.Blame, r.Usage, tc.cause, tc.blame)
		}
		if last := r.Evidence[len(r.Evidence)-1]; last.Name != "chat" || last.OK {
			t.Errorf("%s: the evidence ends in %+v, want that the chat was not asked", name, last)
		}
	}
}

func TestTheRunIsMeasured(t *testing.T) {
	t.Parallel()
	stamp := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	body := strings.Replace(inside, `"error":null`, `"timestamp":"`+stamp+`"`, 1)
	url := serve(t, application(says(200, body), says(200, pong)))
	r := run(t, params(url, "max_age: 1h\n"+chatOf(url, "max_cost_usd: 0.0005")))
	got := map[string]float64{}
	for _, m := range r.Measurements {
		got[m.Name+m.Attrs["service"]] = m.Value
	}
	if r.Status != checks.OK || got["probe.app.reported_latencymistral"] != 0.0415 || got["probe.app.answer_age"] < 59 || got["probe.app.answer_age"] > 600 {
		t.Errorf("%s: measured %v", r.Summary, got)
	}
	if got["probe.app.chat.status_code"] != 200 || got["probe.http.status_code"] != 200 || got["probe.app.chat.duration"] <= 0 {
		t.Errorf("measured %v", got)
	}
	if r.Facts["app_provider"] != "mistral" || r.Facts["app_model"] != "mistral-small-latest" || len(r.Phases) < 2 {
		t.Errorf("facts %v, phases %v", r.Facts, r.Phases)
	}
	if u := r.Usage; u == nil || u.Cost != 500_000_000 || !u.Estimated {
		t.Errorf("usage %+v, want the declared cost", u)
	}
}

func TestASecretThatIsWatchedForAndAbsentIsOurFault(t *testing.T) {
	t.Parallel()
	check, err := app.Kind().New(checktest.Decoder(params(serve(t, says(200, inside)), "secrets: [{env: ABSENT}]"), ""), checks.Env{Network: network(t)})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := check.Run(t.Context()); err == nil || r.Cause != checks.CauseConfig || !strings.Contains(err.Error(), "entry 0 of secrets") {
		t.Errorf("%+v, %v, want an error of the configuration", r, err)
	}
}

func TestTheApplicationIsToBlameAndOnlyADeclaredCostIsReserved(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]checks.PicoUSD{"": 0, chatOf("http://app.test", ""): 0, chatOf("http://app.test", "max_cost_usd: 0.0000000000011"): 2} {
		check := build(t, params("http://app.test", more))
		if owned, ok := check.(checks.Owned); !ok || owned.Owner() != checks.BlameApplication {
			t.Errorf("%q: the check is not the application's", more)
		}
		paid, ok := check.(checks.Paid)
		if ok != (want > 0) {
			t.Fatalf("%q: paid is %v", more, ok)
		}
		if !ok {
			continue
		}
		if got, known := paid.MaxCost(time.Now()); got != want || !known {
			t.Errorf("%q: costs %d, %v, want %d", more, got, known, want)
		}
	}
}
