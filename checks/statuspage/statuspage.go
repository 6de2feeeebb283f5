// Package statuspage reads a provider's public status page. It is advisory: it tells what the provider says of itself,
// which lags what users see by ten minutes and more, and may neither fail nor vouch for anything. It sends no credentials.
package statuspage

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const doc = `Reads the provider's public status page and tells what it says: advisory, because such pages lag what users see by 10 to 30 minutes and more.
It is ok where the page says that all is well, and degraded with cause assertion where it announces a minor, major or critical incident, a maintenance, or has an incident open beside a good indicator. It never fails, so a page alone makes no outage.
What cannot be read is unknown, never good and never bad: a challenge or any other HTML, a redirect (never followed), an HTTP error, JSON of an unknown shape, an indicator that nobody knows, a page that cannot be reached.
The shape is found from the answer, whatever its path: status.indicator (Statuspage and those who took over its format, Rootly, incident.io) or page.status (Instatus). Pages move from one to the other without notice.
Titles of open incidents go to the record's facts; the indicator and the number of open incidents are measured. The check has no part in the circuit breaker, belongs to no provider unless provider names one, and is free.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("status_page", doc, Params{}, New)
	kind.Provider = checks.ProviderNamed
	return kind
}

const maxBody = 1 << 20 // of one answer; the largest pages have 0.3 MB

// Params is the `with:` section.
type Params struct {
	Base string `jsonschema_description:"URL of the page itself: https://status.mistral.ai. The known paths are tried in turn: /api/v1/status.json, /api/v2/summary.json, /summary.json." yaml:"base"`
	URL  string `jsonschema_description:"Full URL of the page's JSON, in place of base." yaml:"url"`
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	switch {
	case p.Base != "" && p.URL != "":
		return checks.Invalid("url", "base and url are both given, want one")
	case p.URL != "":
		return fetch.ValidURL("url", p.URL)
	case p.Base == "":
		return checks.Invalid("", "no page, want base or url")
	case strings.Contains(p.Base, "?"):
		return checks.Invalid("base", "it has a query, want the URL of the page itself; a full URL goes to url")
	}
	return fetch.ValidURL("base", p.Base)
}

// place is where the JSON may be.
type place struct{ url, shown string }

func (p Params) places() []place {
	if p.URL != "" {
		return []place{{p.URL, "the page"}}
	}
	base := strings.TrimRight(p.Base, "/")
	places := make([]place, 0, 3)
	for _, path := range []string{"/api/v1/status.json", "/api/v2/summary.json", "/summary.json"} { // Rootly, Statuspage, Instatus
		places = append(places, place{base + path, path})
	}
	return places
}

// StatusPage is one check of one page.
type StatusPage struct {
	params Params
	out    outbound.Exchanger
}

// New builds the check. Without a network its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	s := &StatusPage{params: params}
	if env.Network == nil {
		return s, nil
	}
	out, ok := env.Network.(outbound.Exchanger)
	if !ok {
		return nil, fmt.Errorf("the agent's network is a %T, which cannot make requests", env.Network)
	}
	s.out = out
	return s, nil
}

// Measures implements checks.Measuring.
func (s *StatusPage) Measures() []string {
	return fetch.Measures("probe.status_page.incidents", "probe.status_page.indicator")
}

// Run tries the places in turn, up to the first whose answer can be read, or to a host that cannot be reached.
func (s *StatusPage) Run(ctx context.Context) (checks.Result, error) {
	if s.out == nil {
		return checks.Result{Cause: checks.CauseInternal}, errors.New("there is no network to ask through")
	}
	var tried []checks.Step
	var said *checks.Result // by the answer that tells most of those that could not be read
	for _, place := range s.params.places() {
		a := fetch.Do(ctx, s.out, fetch.Request{URL: place.url, Header: http.Header{"Accept": {"application/json"}}, MaxBody: maxBody})
		if a.Cause != checks.CauseNone {
			r := lost(ctx, a)
			r.Evidence = append(tried, r.Evidence...)
			return r, nil
		}
		found, why := read(a)
		if why == nil {
			r := found.result(a)
			r.Evidence = append(tried, r.Evidence...)
			return r, nil
		}
		tried = append(tried, checks.Step{Name: "page", Detail: place.shown + ": " + why.text})
		if said == nil || said.Cause == checks.CauseBadRequest {
			r := why.result(a)
			said = &r
		}
	}
	said.Evidence = append(said.Evidence, tried...)
	return *said, nil
}

// lost is the result of an exchange without a whole answer: nobody knows what the page says, unless the fault is ours.
func lost(ctx context.Context, a *fetch.Answer) checks.Result {
	r := a.Result(ctx)
	if r.Status != checks.Error {
		r.Status = checks.Unknown
	}
	return r
}
