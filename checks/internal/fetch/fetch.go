// Package fetch is one bounded HTTP exchange of a check that is not a call of a provider's API. It never retries, never
// follows a redirect, and puts no URL, credential or body into a text.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// maxLine bounds a summary and the detail of a step, in bytes.
const maxLine = 300

// Request is what to send. MaxBody bounds the answer after decompression.
type Request struct {
	Method  string // "" is GET
	URL     string
	Header  http.Header
	Body    []byte
	Auth    Auth
	TLS     TLS
	MaxBody int64 // 0 is 4 MiB
}

// Answer is what came of it: a whole answer of any status with CauseNone, or exactly one Cause. An answer of which only
// the body is missing has both a Status and a Cause; its Body is then what came.
type Answer struct {
	Cause    checks.Cause
	Reason   string // bounded detail of the cause, as outbound.Failure's: "refused", "expired"; never an attribute
	Summary  string // one line, "" for a whole answer
	Status   int    // 0 where none came
	Header   http.Header
	Body     []byte
	Timings  outbound.Timings
	Phases   []checks.Phase
	Evidence []checks.Step // key, dns, connect, proxy, tls, status, body: up to where it went

	scrub credential.Scrubber
}

// Do makes the exchange. After a 401 it reads the credentials again, for the next one.
func Do(ctx context.Context, out outbound.Exchanger, req Request) *Answer {
	a := &Answer{}
	header, secrets, err := req.Auth.header(ctx, req.Header)
	a.scrub = credential.NewScrubber(secrets, nil)
	if err != nil {
		a.fail(checks.CauseConfig, "key", "the credentials cannot be used: "+err.Error())
		a.step("key", false, err.Error())
		return a
	}
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	response, err := out.Open(ctx, outbound.Request{
		Method: req.Method, URL: req.URL, Header: header, Body: req.Body, MaxBody: req.MaxBody, TLS: req.TLS.own(),
	})
	if err != nil {
		f := failure(err)
		a.Timings, a.Phases = f.Timings, f.Timings.Phases()
		a.trail(f)
		a.fail(f.Cause, f.Reason, fmt.Sprintf("%s: %s", f.Cause, f.Error()))
		return a
	}
	a.Status, a.Header = response.Status, response.Header
	a.Timings = response.Body.Timings()
	a.trail(nil)
	a.status(ctx, req.Auth)
	a.read(response.Body)
	return a
}

// trail adds the steps of the way, up to the failure where there is one.
func (a *Answer) trail(f *outbound.Failure) {
	for _, s := range a.Timings.Trail(f) {
		a.step(s.Name, s.OK, s.Detail)
	}
}

func (a *Answer) status(ctx context.Context, auth Auth) {
	detail := a.StatusText()
	if a.Status == http.StatusUnauthorized && auth.given() {
		detail += ": " + auth.renew(ctx)
	}
	a.step("status", a.Status >= 200 && a.Status < 300, detail)
}

// read takes the whole body, which is then closed, whatever came of it.
func (a *Answer) read(body outbound.BodyReader) {
	var err error
	a.Body, err = io.ReadAll(body)
	_ = body.Close()
	a.Timings = body.Timings()
	a.Phases = a.Timings.Phases()
	if err == nil {
		return
	}
	f := failure(err)
	a.fail(f.Cause, f.Reason, fmt.Sprintf("%s: %s", f.Cause, f.Error()))
	a.step("body", false, f.Error())
}

func failure(err error) *outbound.Failure {
	if f, ok := errors.AsType[*outbound.Failure](err); ok {
		return f
	}
	return &outbound.Failure{Cause: checks.CauseInternal, Reason: "transport", Err: err}
}

func (a *Answer) fail(cause checks.Cause, reason, summary string) {
	a.Cause, a.Reason, a.Summary = cause, reason, a.Line(summary)
}

func (a *Answer) step(name string, ok bool, detail string) {
	a.Evidence = append(a.Evidence, checks.Step{Name: name, OK: ok, Detail: a.Line(detail)})
}

// Line makes a line out of the server's words, without the credentials of the request. Words of a body are private all
// the same: only those that a protocol made for people are to be passed on.
func (a *Answer) Line(text string) string { return a.scrub.Line(text, maxLine) }

// Echoes reports whether a credential of the request, or a fragment of one, stands in text.
func (a *Answer) Echoes(text string) bool { return a.scrub.Holds(text) }

// StatusText is the status for a person: "503 Service Unavailable".
func (a *Answer) StatusText() string {
	return fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
}

// Refusal is the cause that an answer's status alone tells, CauseNone for a 2xx. It is the provider client's own table.
func (a *Answer) Refusal() checks.Cause { return mistral.Classify(a.Status, nil, nil).Cause }

// Result is what the answer means so far: OK for a whole one of any status, else the failure's verdict. Summary is empty
// where it is OK.
func (a *Answer) Result(ctx context.Context) checks.Result {
	r := checks.Result{Cause: a.Cause, Summary: a.Summary, Phases: a.Phases, Evidence: a.Evidence, Facts: map[string]string{}}
	if a.Status != 0 {
		r.Measurements = append(r.Measurements, checks.Measurement{Name: "probe.http.status_code", Value: float64(a.Status)})
	}
	Settle(ctx, &r)
	return r
}

// Settle sets the status that the cause of an exchange means: OK, Failed by its cause, Error where the cause is ours, and
// Unknown where ctx was cancelled, because then nobody knows what would have become of it.
func Settle(ctx context.Context, r *checks.Result) {
	switch {
	case r.Cause == checks.CauseNone:
		r.Status = checks.OK
	case errors.Is(ctx.Err(), context.Canceled):
		r.Status, r.Cause, r.Summary = checks.Unknown, checks.CauseInternal, "the run was cut short"
	case r.Cause.Blame() == checks.BlameOurs:
		r.Status = checks.Error
	default:
		r.Status = checks.Failed
	}
	if r.Summary == "" {
		r.Summary = string(r.Cause)
	}
}

// Measures are the names of what an exchange tells by its phases and its status, and those that are given beside, sorted:
// for checks.Measuring.
func Measures(beside ...string) []string {
	names := append([]string{"probe.http.duration", "probe.http.status_code"}, beside...)
	slices.Sort(names)
	return names
}
