package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

var (
	names  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$`)
	logins = regexp.MustCompile(`(?i)log-?in|sign-?in|auth|sso`)
)

// verdict is a result under way.
type verdict struct{ checks.Result }

func (v *verdict) step(name string, ok bool, detail string) {
	v.Evidence = append(v.Evidence, checks.Step{Name: name, OK: ok, Detail: oneline.Of(detail, maxLine)})
}

func (v *verdict) set(status checks.Status, cause checks.Cause, text string) {
	v.Status, v.Cause, v.Summary = status, cause, oneline.Of(text, maxLine)
}

// find adds a finding to a verdict that may be bad already: the worse of the two decides.
func (v *verdict) find(name string, status checks.Status, text string) {
	v.step(name, false, text)
	switch {
	case v.Status == checks.OK, v.Status == checks.Degraded && status == checks.Failed:
		v.set(status, checks.CauseAssertion, text)
	default:
		v.Summary = oneline.Of(v.Summary+"; "+text, maxLine)
	}
}

// blamed says whose fault it is. A connection that the other host itself refused or ended is the application's, not the
// network's; a request that was refused as such is what we ask for.
func (v *verdict) blamed(reason string) checks.Result {
	ended := []string{"refused", "reset", "closed"}
	asked := []checks.Cause{checks.CauseAuth, checks.CauseForbidden, checks.CauseBadRequest, checks.CausePayment}
	switch {
	case v.Status != checks.Failed && v.Status != checks.Degraded:
		return v.Result
	case v.Cause == checks.CauseConnect && slices.Contains(ended, reason):
		v.Blame = checks.BlameApplication
	case slices.Contains(asked, v.Cause):
		v.Blame = checks.BlameConfig
	case v.Cause.Blame() == checks.BlameProvider, v.Cause == checks.CauseRateLimited:
		v.Blame = checks.BlameApplication
	}
	return v.Result
}

// health asks the health route. reached is whether the application answered anything.
func (a *App) health(ctx context.Context, watch credential.Scrubber) (r checks.Result, reached bool) {
	answer := fetch.Do(ctx, a.out, fetch.Request{
		URL: a.params.URL, Header: http.Header{"Accept": {"application/json"}}, Auth: a.params.Auth, TLS: a.params.TLS, MaxBody: maxHealth,
	})
	v := &verdict{answer.Result(ctx)}
	switch {
	case answer.Status == 0 || v.Status == checks.Unknown || v.Status == checks.Error:
		return v.blamed(answer.Reason), false
	case answer.Cause == checks.CauseNone && (answer.Status < 300 || answer.Status >= 500):
		a.reading(v, answer)
	case answer.Cause == checks.CauseNone:
		refused(v, answer)
	}
	scan(v, answer, watch)
	return v.blamed(answer.Reason), true
}

// refused is an answer whose status says that the request was not taken.
func refused(v *verdict, answer *fetch.Answer) {
	text := answer.StatusText()
	if answer.Status >= 300 && answer.Status < 400 {
		text += toLogin(answer.Header.Get("Location"))
	}
	v.set(checks.Failed, answer.Refusal(), text)
}

// toLogin tells a redirect to a login from others. The place itself may hold anything and is not shown.
func toLogin(location string) string {
	u, err := url.Parse(location)
	if err == nil && logins.MatchString(u.Host+u.Path) {
		return ", a redirect to what looks like a login, which is not followed"
	}
	return ", a redirect, which is not followed"
}

// reading judges what the body says beside what the status says.
func (a *App) reading(v *verdict, answer *fetch.Answer) {
	said, problem := read(answer.Body, a.params.Service)
	if problem != "" {
		v.step("shape", false, fmt.Sprintf("%s, %d bytes", problem, len(answer.Body)))
		if answer.Status >= 500 {
			v.set(checks.Failed, checks.CauseServer, answer.StatusText()+" with "+problem)
			return
		}
		v.set(checks.Failed, checks.CauseMalformed, fmt.Sprintf(
			`%s with %s, want {"services": {%q: {"status": "healthy", "degraded" or "unhealthy", …}}} or the inner object alone`,
			answer.StatusText(), problem, a.params.Service))
		return
	}
	v.step("shape", true, "found at "+said.place)
	a.agree(v, said, answer)
	if said.err != "" && said.status == healthy {
		v.find("error_text", checks.Degraded, "it says healthy, and has an error text")
	}
	a.age(v, said)
	if said.latency >= 0 {
		v.Measurements = append(v.Measurements, checks.Measurement{
			Name: "probe.app.reported_latency", Value: said.latency.Seconds(), Unit: "s", Attrs: map[string]string{"service": a.params.Service},
		})
	}
	v.name("app_provider", said.provider)
	v.name("app_model", said.model)
}

// agree judges the word together with the HTTP status: load balancers look at the one, people at the other.
func (a *App) agree(v *verdict, said report, answer *fetch.Answer) {
	good := answer.Status < 300
	text := fmt.Sprintf("the application says that %s is %s, with %s", a.params.Service, said.status, answer.StatusText())
	switch {
	case said.status == healthy && good:
		v.Summary = oneline.Of(text, maxLine)
	case said.status == degraded && good:
		v.set(checks.Degraded, checks.CauseAssertion, text)
	case said.status == unhealthy && !good:
		v.set(checks.Failed, checks.CauseAssertion, text)
	default:
		v.set(checks.Failed, checks.CauseAssertion, text+": the two disagree")
		v.step("agreement", false, text)
		return
	}
	v.step("health", v.Status == checks.OK, said.status)
}

// age judges how old the answer is: a health that nobody renews stays as it was.
func (a *App) age(v *verdict, said report) {
	if said.at.IsZero() {
		if a.params.MaxAge > 0 {
			v.find("age", checks.Degraded, fmt.Sprintf("the answer has no timestamp, want one of the last %s", a.params.MaxAge))
		}
		return
	}
	age := time.Since(said.at)
	v.Measurements = append(v.Measurements, checks.Measurement{Name: "probe.app.answer_age", Value: max(age, 0).Seconds(), Unit: "s"})
	if a.params.MaxAge == 0 {
		return
	}
	if age.Abs() > a.params.MaxAge {
		v.find("age", checks.Degraded, fmt.Sprintf("the answer is of %s, now is %s, want at most %s between",
			said.at.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339), a.params.MaxAge))
		return
	}
	v.step("age", true, age.Round(time.Millisecond).String())
}

// scan looks for what an answer must not show. It tells what it found, and never quotes it.
func scan(v *verdict, answer *fetch.Answer, watch credential.Scrubber) {
	all := string(answer.Body)
	said := texts(answer.Body) // without the escapes of JSON
	what := shows(answer, watch, all)
	if what == "" {
		what = shows(answer, watch, said)
	}
	if what == "" && showsBare(errorText(answer.Body)) {
		what = "what looks like a key"
	}
	if what != "" {
		clear(v.Facts) // which are the application's words, too
		v.find("no_key", checks.Failed, "the answer shows "+what+": rotate it")
	}
	if traces.MatchString(all) || traces.MatchString(said) {
		v.find("no_stack_trace", checks.Degraded, "the answer shows a stack trace")
	}
}

// name keeps a name that the application gave, where it looks like one.
func (v *verdict) name(key, value string) {
	if names.MatchString(value) && !strings.Contains(value, "://") {
		v.Facts[key] = value
	}
}
