package statuspage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/statuspage"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

func network(t *testing.T) *outbound.Network {
	t.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// site serves pages by path, and 404 for all others.
func site(t *testing.T, pages map[string]http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page := pages[r.URL.Path]; page != nil {
			page(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// rootly is the answer of Rootly's status page API (docs.rootly.com, Status Page Public API, read November 2026).
func rootly(indicator, incidents string) string {
	return fmt.Sprintf(`{"page":{"name":"Mistral AI","url":"https://status.mistral.ai","time_zone":"Europe/Paris","updated_at":"2026-11-20T12:00:00Z"},"status":{"indicator":%q,"description":"As it says"},"incidents":[%s]}`, indicator, incidents)
}

// statuspageIO is the answer of Statuspage's summary.json, shortened.
func statuspageIO(indicator, incidents string) string {
	return fmt.Sprintf(`{"page":{"id":"kctbh9vrtdwd","name":"A Service","url":"https://status.a.example","time_zone":"Etc/UTC","updated_at":"2026-11-20T12:00:00Z"},"components":[{"id":"1","name":"API","status":"operational"}],"incidents":[%s],"scheduled_maintenances":[{"name":"later","status":"scheduled"}],"status":{"indicator":%q,"description":"As it says"}}`, incidents, indicator)
}

func instatus(status, incidents string) string {
	return fmt.Sprintf(`{"page":{"name":"A Service","url":"https://a.instatus.com","status":%q},"activeIncidents":[%s],"activeMaintenances":[]}`, status, incidents)
}

func TestTheKindPassesTheSuite(t *testing.T) {
	checktest.Run(t, statuspage.Kind(), checktest.Options{
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			url := site(t, map[string]http.HandlerFunc{"/api/v2/summary.json": answer(200, statuspageIO("none", ""))})
			return checktest.Case{Params: "base: " + url, Env: checks.Env{Network: network(t)}}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: "base: http://" + outboundtest.Refused(t), Env: checks.Env{Network: network(t)}}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			return checktest.Case{Params: "url: " + url + "/status.json", Env: checks.Env{Network: network(t)}, Reached: reached}
		},
		Refused: map[string]string{
			"no page":                "{}",
			"two pages":              "base: https://a.example\nurl: https://a.example/summary.json",
			"a page without scheme":  "base: status.mistral.ai",
			"a base with a query":    "base: https://a.example?x=1",
			"a URL that is no page":  "url: file:///etc/passwd",
			"a URL with a password":  "url: https://u:p@a.example/summary.json",
			"a number in its place":  "url: 7",
			"credentials for a page": "base: https://a.example\nauth: {bearer: x}",
		},
	})
}

func run(t *testing.T, params string) checks.Result {
	t.Helper()
	check, err := statuspage.Kind().New(checktest.Decoder(params, ""), checks.Env{Network: network(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("not valid: %v", err)
	}
	for _, m := range r.Measurements {
		if row, ok := exporters.Lookup(m.Name); !ok || row.Unit != m.Unit {
			t.Errorf("%s with unit %q is not in the catalogue", m.Name, m.Unit)
		}
	}
	return r
}

// measured is a measurement's value, -1 where there is none.
func measured(r checks.Result, name string) float64 {
	for _, m := range r.Measurements {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}

func TestWhatAPageSays(t *testing.T) {
	t.Parallel()
	const (
		open    = `{"name":"Elevated errors","status":"started","impact":"minor","started_at":"2026-11-20T10:30:00Z","resolved_at":null,"url":"https://status.mistral.ai/incidents/a"}`
		over    = `{"name":"Old","status":"monitoring","impact":"major","resolved_at":"2026-11-20T11:00:00Z"},{"name":"Older","status":"resolved"}`
		harm0   = `{"name":"A notice","status":"investigating","impact":"none"}`
		big     = `{"name":"All is down","started":"2026-11-20T10:30:00Z","status":"INVESTIGATING","impact":"MAJOROUTAGE","url":"https://a.instatus.com/x"}`
		untyped = `{"title":"By another name","status":7,"impact":null}`
	)
	for name, tc := range map[string]struct {
		body      string
		status    checks.Status
		indicator float64
		incidents float64
		says      string
	}{
		"all is well":                        {rootly("none", ""), checks.OK, 0, 0, "the page says none: As it says"},
		"a maintenance":                      {rootly("maintenance", ""), checks.Degraded, 1, 0, "the page says maintenance"},
		"a minor incident":                   {rootly("minor", open), checks.Degraded, 2, 1, "the page says minor: As it says, 1 incident is open"},
		"a major incident":                   {rootly("major", open+","+open), checks.Degraded, 3, 2, "2 incidents are open"},
		"a critical incident":                {statuspageIO("critical", open), checks.Degraded, 4, 1, "the page says critical"},
		"all is well, and yet":               {rootly("none", open), checks.Degraded, 0, 1, "none: As it says, 1 incident is open"},
		"incidents that are over":            {rootly("none", over), checks.OK, 0, 0, "none"},
		"an incident without impact":         {statuspageIO("none", harm0), checks.OK, 0, 1, "1 incident is open"},
		"an incident of odd types":           {rootly("minor", untyped), checks.Degraded, 2, 1, "minor"},
		"Statuspage is well":                 {statuspageIO("none", ""), checks.OK, 0, 0, "none"},
		"Instatus is well":                   {instatus("UP", ""), checks.OK, 0, 0, "the page says none: UP"},
		"Instatus has issues":                {instatus("HASISSUES", ""), checks.Degraded, 2, 0, "minor"},
		"Instatus has a major outage":        {instatus("HASISSUES", big), checks.Degraded, 3, 1, "major"},
		"Instatus is under maintenance":      {instatus("UNDERMAINTENANCE", ""), checks.Degraded, 1, 0, "maintenance"},
		"a description that is no text":      {`{"status":{"indicator":"none","description":{"en":"x"}}}`, checks.OK, 0, 0, "the page says none"},
		"a page that is a text, and no list": {`{"page":"x","status":{"indicator":"none"},"incidents":null}`, checks.OK, 0, 0, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, "url: "+site(t, map[string]http.HandlerFunc{"/any/path": answer(200, tc.body)})+"/any/path")
			cause := checks.CauseNone
			if tc.status == checks.Degraded {
				cause = checks.CauseAssertion
			}
			if r.Status != tc.status || r.Cause != cause || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %q: %s, want %s %q: …%s…", r.Status, r.Cause, r.Summary, tc.status, cause, tc.says)
			}
			if got := measured(r, "probe.status_page.indicator"); got != tc.indicator {
				t.Errorf("the indicator is %v, want %v", got, tc.indicator)
			}
			if got := measured(r, "probe.status_page.incidents"); got != tc.incidents {
				t.Errorf("%v incidents, want %v", got, tc.incidents)
			}
		})
	}
}

func TestWhatCannotBeReadIsUnknown(t *testing.T) {
	t.Parallel()
	challenge := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cf-Mitigated", "challenge")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Just a moment...</title>")
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		cause   checks.Cause
		blame   checks.Blame
		says    string
	}{
		"a challenge":                   {challenge, checks.CauseMalformed, checks.BlameNone, "403 Forbidden with a challenge"},
		"a page of errors":              {answer(503, "<html>"), checks.CauseMalformed, checks.BlameNone, "503 Service Unavailable with a challenge"},
		"HTML in place of JSON":         {answer(200, "<html>all is well</html>"), checks.CauseMalformed, checks.BlameNone, "200 OK with an HTML page"},
		"text":                          {answer(200, "none"), checks.CauseMalformed, checks.BlameNone, "text that is not JSON"},
		"an empty body":                 {answer(200, ""), checks.CauseMalformed, checks.BlameNone, "an empty body"},
		"JSON that is cut":              {answer(200, rootly("none", "")[:60]), checks.CauseMalformed, checks.BlameNone, "text that is not JSON"},
		"another shape":                 {answer(200, `{"data":{"attributes":{"aggregate_state":"operational"}}}`), checks.CauseMalformed, checks.BlameNone, "a shape that is not known"},
		"a list":                        {answer(200, `[{"status":{"indicator":"none"}}]`), checks.CauseMalformed, checks.BlameNone, "a shape that is not known"},
		"null":                          {answer(200, `null`), checks.CauseMalformed, checks.BlameNone, "a shape that is not known"},
		"an indicator that is a number": {answer(200, `{"status":{"indicator":0}}`), checks.CauseMalformed, checks.BlameNone, "a shape that is not known"},
		"an indicator nobody knows":     {answer(200, `{"status":{"indicator":"Partial\u001b[31m"}}`), checks.CauseMalformed, checks.BlameNone, "not known: partial"},
		"an empty indicator":            {answer(200, rootly("", "")), checks.CauseMalformed, checks.BlameNone, "not known"},
		"Instatus says a new word":      {answer(200, instatus("FINE", "")), checks.CauseMalformed, checks.BlameNone, "not known: FINE"},
		"a good page with a bad code":   {answer(500, rootly("none", "")), checks.CauseServer, checks.BlameNone, "500"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
		}, checks.CauseUnexpectedRedirect, checks.BlameNone, "301"},
		"a password is wanted": {answer(401, ""), checks.CauseAuth, checks.BlameProvider, "401"},
		"too many requests":    {answer(429, "slow down"), checks.CauseRateLimited, checks.BlameProvider, "429"},
		"nothing there":        {answer(404, "not found"), checks.CauseBadRequest, checks.BlameNone, "404"},
		"a page without end": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, checks.CauseResponseTooLarge, checks.BlameNone, "bound"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := site(t, map[string]http.HandlerFunc{"/p": tc.handler, "/elsewhere": answer(200, rootly("none", ""))})
			r := run(t, "url: "+url+"/p")
			if r.Status != checks.Unknown || r.Cause != tc.cause || r.Blame != tc.blame || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %q blame %q: %s, want unknown %q blame %q: …%s…", r.Status, r.Cause, r.Blame, r.Summary, tc.cause, tc.blame, tc.says)
			}
			if got := measured(r, "probe.status_page.indicator"); got != -1 {
				t.Errorf("the indicator is measured as %v, though nobody knows it", got)
			}
		})
	}
}

func TestKnownPathsAreTriedInTurn(t *testing.T) {
	t.Parallel()
	single := answer(200, "<html>one page for every path</html>")
	for name, tc := range map[string]struct {
		pages  map[string]http.HandlerFunc
		status checks.Status
		cause  checks.Cause
		steps  string
	}{
		"Rootly":              {map[string]http.HandlerFunc{"/api/v1/status.json": answer(200, rootly("none", ""))}, checks.OK, "", "connect status shape indicator incidents"},
		"Statuspage":          {map[string]http.HandlerFunc{"/api/v2/summary.json": answer(200, statuspageIO("none", ""))}, checks.OK, "", "page connect status shape indicator incidents"},
		"Instatus":            {map[string]http.HandlerFunc{"/summary.json": answer(200, instatus("UP", ""))}, checks.OK, "", "page page connect status shape indicator incidents"},
		"behind a front page": {map[string]http.HandlerFunc{"/api/v1/status.json": single, "/api/v2/summary.json": single, "/summary.json": answer(200, instatus("UP", ""))}, checks.OK, "", "page page connect status shape indicator incidents"},
		"none of them":        {nil, checks.Unknown, checks.CauseBadRequest, "connect status page page page"},
		"what is not a 404 tells most": {
			map[string]http.HandlerFunc{"/api/v2/summary.json": single}, checks.Unknown, checks.CauseMalformed, "connect status page page page",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, "base: "+site(t, tc.pages)+"/")
			names := make([]string, 0, len(r.Evidence))
			for _, s := range r.Evidence {
				names = append(names, s.Name)
			}
			if r.Status != tc.status || r.Cause != tc.cause || strings.Join(names, " ") != tc.steps {
				t.Errorf("%s %q after %v (%s), want %s %q after %s", r.Status, r.Cause, names, r.Summary, tc.status, tc.cause, tc.steps)
			}
		})
	}
}

func TestTitlesOfIncidentsAreFactsAndMadeFit(t *testing.T) {
	t.Parallel()
	titles := []string{`"Errors\u0000\nin \u202echat"`, `"` + strings.Repeat("ü", 400) + `"`, `""`, `"d"`, `"e"`, `"f"`}
	for i, title := range titles {
		titles[i] = `{"name":` + title + `,"status":"investigating"}`
	}
	r := run(t, "url: "+site(t, map[string]http.HandlerFunc{"/p": answer(200, rootly("major", strings.Join(titles, ",")))})+"/p")
	if r.Facts["incident_1"] != "Errors in chat (investigating)" || r.Facts["incident_3"] != "without a title (investigating)" {
		t.Errorf("the facts are %q", r.Facts)
	}
	if len(r.Facts) != 7 || measured(r, "probe.status_page.incidents") != 6 {
		t.Errorf("%d facts, want 5 incidents, shape and indicator", len(r.Facts))
	}
	for _, m := range r.Measurements {
		if len(m.Attrs) > 0 {
			t.Errorf("%s has attributes %v, want none: a page's words are no labels", m.Name, m.Attrs)
		}
	}
}

func TestBadParametersAreRefusedAtTheirPlace(t *testing.T) {
	t.Parallel()
	for params, path := range map[string]string{"{}": "", "base: a": "base", "url: a": "url", "{base: 'http://a.example', url: 'http://a.example'}": "url"} {
		err := statuspage.Kind().Validate(checktest.Decoder(params, ""))
		if param, ok := errors.AsType[*checks.ParamError](err); !ok || param.Path != path {
			t.Errorf("%s gave %v, want an error at %q", params, err, path)
		}
	}
	if _, err := statuspage.New(statuspage.Params{}, checks.Env{Network: 7}); err == nil {
		t.Error("a number was taken for a network")
	}
}

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

func FuzzPage(f *testing.F) {
	for _, body := range []string{
		rootly("minor", `{"name":"a","status":"started","resolved_at":null}`), statuspageIO("critical", ""), instatus("HASISSUES", `{"name":"x","impact":"MAJOROUTAGE"}`),
		instatus("UP", ""), `{"status":{"indicator":"none"},"incidents":[null,{}]}`, "<html>", "", "null", `{"page":{"status":"up"}}`,
	} {
		f.Add(200, body)
		f.Add(503, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		check, err := statuspage.New(statuspage.Params{URL: "http://a.example"}, checks.Env{Network: canned{status, strings.NewReader(body)}})
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
		if r.Status != checks.OK && r.Status != checks.Degraded && r.Status != checks.Unknown {
			t.Errorf("a page made the run %s: %s", r.Status, body)
		}
		if r.Status == checks.OK && (status < 200 || status > 299 || measured(r, "probe.status_page.indicator") != 0) {
			t.Errorf("status %d is ok: %s", status, body)
		}
	})
}
