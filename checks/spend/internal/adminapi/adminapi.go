// Package adminapi is a source of spend: the Enterprise admin API of Mistral, which says what the account was billed. It
// needs an admin key of its own, reads three pages by GET, and can change nothing: it sends no other method.
package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Header is how the key is sent.
type Header string

// The headers.
const (
	HeaderAPIKey Header = "x-api-key"
	HeaderBearer Header = "bearer"
)

const (
	defaultBase = "https://api.mistral.ai"
	maxBody     = 4 << 20
	currency    = "USD"
)

// Params is the admin API, as a section of a check's parameters.
type Params struct {
	BaseURL string        `jsonschema_description:"Base URL of the API, without /v1. Default: https://api.mistral.ai" yaml:"base_url"`
	APIKey  checks.Secret `jsonschema:"required" jsonschema_description:"An admin key of an Enterprise organization, by reference. An inference key is refused." yaml:"api_key"`
	Header  Header        `jsonschema:"enum=x-api-key,enum=bearer" jsonschema_description:"How the key is sent: in the header x-api-key, or as a bearer token. Default: x-api-key." yaml:"header"`
}

// Validate checks the section that stands at path.
func (p Params) Validate(path string) error {
	var errs []error
	if p.BaseURL != "" {
		errs = append(errs, fetch.ValidURL(path+".base_url", p.BaseURL))
		if u, err := url.Parse(p.BaseURL); err == nil && (u.RawQuery != "" || strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1")) {
			errs = append(errs, checks.Invalid(path+".base_url", "want what stands before /v1, such as https://api.mistral.ai"))
		}
	}
	if p.APIKey.IsZero() {
		errs = append(errs, checks.Invalid(path+".api_key", "it is missing, want {credential: …}, {file: …} or {env: …}"))
	}
	if p.Header != "" && p.Header != HeaderAPIKey && p.Header != HeaderBearer {
		errs = append(errs, checks.Invalid(path+".header", "%q, want x-api-key or bearer", p.Header))
	}
	return errors.Join(errs...)
}

// API is a source.Source. The provider's days and months are those of UTC.
type API struct {
	base  string
	auth  fetch.Auth
	out   outbound.Exchanger
	state source.State
}

// New makes an API of validated parameters. Without a state the last hour and the day are known only while the API lives.
// It connects to nobody.
func New(p Params, out outbound.Exchanger, state source.State) *API {
	a := &API{base: strings.TrimRight(p.BaseURL, "/"), out: out, state: state}
	if a.base == "" {
		a.base = defaultBase
	}
	if a.state == nil {
		a.state = &source.Transient{}
	}
	if p.Header == HeaderBearer {
		a.auth.Bearer = p.APIKey
	} else {
		a.auth.Headers = map[string]checks.Secret{"X-Api-Key": p.APIKey}
	}
	return a
}

// Read asks for the month's usage, the spend limit and the rate limit. The month is what the account was charged so far;
// the hour and the day are differences to what was read before, and not known until there is something to compare with.
func (a *API) Read(ctx context.Context, now time.Time) (source.Reading, error) {
	now = now.UTC()
	query := url.Values{"month": {strconv.Itoa(int(now.Month()))}, "year": {strconv.Itoa(now.Year())}}
	pageOfUsage, trouble := a.get(ctx, "usage", query)
	if trouble != nil {
		return source.Reading{}, trouble
	}
	u, badUsage := readUsage(pageOfUsage, now)
	var l limits
	pageOfLimits, badLimits := a.get(ctx, "spend-limit", nil)
	if badLimits == nil {
		l, badLimits = readLimits(pageOfLimits)
	}
	month, basis, trouble := settle(u, badUsage, l, badLimits)
	if trouble != nil {
		return source.Reading{}, trouble
	}
	r := source.Reading{AsOf: now, Confidence: source.Exact, Month: month}
	for _, bad := range []*source.Problem{badUsage, badLimits} {
		if bad != nil {
			r.Notes = append(r.Notes, bad.Text)
		}
	}
	r.Notes, r.Alarms = append(r.Notes, l.notes(u)...), l.alarms()
	r.Extra = l.measurements()
	a.rate(ctx, &r)
	a.differences(&r, a.base+" "+basis, now)
	return r, nil
}

// rate adds the rate limit, which nothing depends on.
func (a *API) rate(ctx context.Context, r *source.Reading) {
	page, trouble := a.get(ctx, "rate-limit", nil)
	if trouble != nil {
		r.Notes = append(r.Notes, trouble.Text)
		return
	}
	if n, ok := number(page["requests_per_second"]); ok && n.Sign() >= 0 {
		value, _ := n.Float64()
		r.Extra = append(r.Extra, checks.Measurement{
			Name: "probe.llm.rate_limit.limit", Value: value, Attrs: map[string]string{"resource": "requests", "window": "second"},
		})
	} else {
		r.Notes = append(r.Notes, "the page rate-limit has no requests_per_second")
	}
}

// get reads one page.
func (a *API) get(ctx context.Context, page string, query url.Values) (map[string]any, *source.Problem) {
	if a.out == nil {
		return nil, source.Problemf(checks.CauseInternal, "there is no network to ask through")
	}
	address := a.base + "/v1/admin/" + page
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	answer := fetch.Do(ctx, a.out, fetch.Request{
		Method: http.MethodGet, URL: address, Header: http.Header{"Accept": {"application/json"}}, Auth: a.auth, MaxBody: maxBody,
	})
	if answer.Cause != checks.CauseNone {
		return nil, source.Problemf(answer.Cause, "the page %s: %s", page, answer.Summary)
	}
	if trouble := refusal(page, answer); trouble != nil {
		return nil, trouble
	}
	decoder := json.NewDecoder(strings.NewReader(string(answer.Body)))
	decoder.UseNumber()
	var body map[string]any
	if err := decoder.Decode(&body); err != nil || body == nil {
		return nil, source.Problemf(checks.CauseMalformed, "the page %s is not a JSON object", page)
	}
	return body, nil
}

// refusal is what a status other than 200 means. Its body is not passed on.
func refusal(page string, answer *fetch.Answer) *source.Problem {
	p := source.Problemf(answer.Refusal(), "the page %s: %s", page, answer.StatusText())
	switch answer.Status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		p.Cause, p.Blame = checks.CauseAuth, checks.BlameAccount
		p.Text += ": the key is no admin key, or is revoked; an inference key is not an admin key"
	case http.StatusForbidden, http.StatusNotFound:
		p.Cause, p.Blame = checks.CauseForbidden, checks.BlameAccount
		p.Text += ": this account has no admin API, which is for Enterprise organizations"
	}
	if p.Cause == checks.CauseNone {
		p.Cause = checks.CauseMalformed
	}
	return p
}

// settle is the month to date, and the page that told it: the sum that the spend limit is compared with, where the provider
// tells it, else what was used at the prices that came with it.
func settle(u usage, badUsage *source.Problem, l limits, badLimits *source.Problem) (*source.Amount, string, *source.Problem) {
	amount := &source.Amount{Requests: -1, Tokens: u.tokens}
	switch {
	case badLimits == nil && l.used != nil:
		amount.Cost = *l.used
		return amount, "spend-limit", nil
	case badUsage == nil && u.cost != nil:
		amount.Cost = *u.cost
		return amount, "usage", nil
	case badUsage != nil:
		return nil, "", badUsage
	case badLimits != nil:
		p := *badLimits
		p.Text = u.why + "; " + p.Text
		return nil, "", &p
	}
	return nil, "", source.Problemf(checks.CauseMalformed, "%s, and the page spend-limit tells of no usage", u.why)
}

// foreign is a page whose amounts are not in dollars, nil where they are.
func foreign(page string, told any) *source.Problem {
	word, _ := told.(string)
	switch {
	case strings.EqualFold(word, currency):
		return nil
	case !plainWord(word):
		return source.Problemf(checks.CauseMalformed, "the page %s names no currency, so that its amounts mean nothing", page)
	}
	return &source.Problem{
		Cause: checks.CauseConfig, Blame: checks.BlameAccount,
		Text: fmt.Sprintf("the page %s counts in %s, not in %s: amounts are not converted", page, strings.ToUpper(word), currency),
	}
}

// plainWord reports whether it is three letters, as currencies are.
func plainWord(word string) bool {
	if len(word) != 3 {
		return false
	}
	for _, c := range word {
		if (c|0x20) < 'a' || (c|0x20) > 'z' {
			return false
		}
	}
	return true
}
