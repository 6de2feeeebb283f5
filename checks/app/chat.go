package app

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// spender stands where other usages have the name of a model: nobody outside knows which one the application asked.
const spender = "application"

// byteOrderMark stands before what some servers write, and hides nothing.
const byteOrderMark = "\uFEFF"

// chat asks the chat route.
func (a *App) chat(ctx context.Context, watch credential.Scrubber) checks.Result {
	p := a.params.Chat
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	for name, value := range p.Headers {
		header.Set(name, value)
	}
	answer := fetch.Do(ctx, a.out, fetch.Request{
		Method: http.MethodPost, URL: p.URL, Header: header, Body: a.body, Auth: p.Auth, TLS: a.params.TLS, MaxBody: maxAnswer,
	})
	v := &verdict{answer.Result(ctx)}
	v.Measurements = nil
	if answer.Status != 0 {
		v.Measurements = append(v.Measurements, checks.Measurement{Name: "probe.app.chat.status_code", Value: float64(answer.Status)})
	}
	if v.Status == checks.OK {
		a.answered(ctx, v, answer, watch)
		v.Measurements = append(v.Measurements, checks.Measurement{Name: "probe.app.chat.duration", Value: answer.Timings.Total.Seconds(), Unit: "s"})
	}
	v.Usage = a.usage(answer)
	if v.Status != checks.OK && v.Status != checks.Unknown {
		v.Summary = strings.TrimSuffix("the chat route: "+v.Summary, ": ")
		if len(v.Summary) > maxLine {
			v.set(v.Status, v.Cause, v.Summary)
		}
	}
	return v.blamed(answer.Reason)
}

// answered judges a whole answer: its status, what it must not be, and what it must be. An answer of a model may hold
// anything, so that keys and stack traces of others are looked for in refusals only.
func (a *App) answered(ctx context.Context, v *verdict, answer *fetch.Answer, watch credential.Scrubber) {
	wanted := a.params.Chat.Status
	if len(wanted) == 0 {
		wanted = []int{http.StatusOK}
	}
	if !slices.Contains(wanted, answer.Status) {
		refused(v, answer)
		if v.Cause == checks.CauseNone {
			v.Cause = checks.CauseAssertion
		}
		v.Summary += ", want " + strings.Trim(fmt.Sprint(wanted), "[]")
		scan(v, answer, watch)
		return
	}
	switch trimmed := bytes.TrimSpace(bytes.TrimPrefix(answer.Body, []byte(byteOrderMark))); {
	case len(trimmed) == 0:
		v.set(checks.Failed, checks.CauseEmptyContent, answer.StatusText()+" with an empty body")
	case answer.Status < 300 && nothing(trimmed):
		v.set(checks.Failed, checks.CauseEmptyContent, answer.StatusText()+" with JSON that holds nothing")
	case trimmed[0] == '<':
		v.set(checks.Failed, checks.CauseMalformed, answer.StatusText()+" with HTML, want the answer of an API")
	case answer.Status < 300 && errorInside(trimmed):
		v.set(checks.Failed, checks.CauseAssertion, answer.StatusText()+" with an error inside")
		scan(v, answer, watch)
	default:
		a.expected(ctx, v, answer)
	}
	if v.Status != checks.OK {
		return
	}
	if answer.Echoes(string(answer.Body)) || watch.Holds(string(answer.Body)) {
		v.find("no_key", checks.Failed, "the answer shows one of our secrets: rotate it")
		return
	}
	v.Summary = fmt.Sprintf("the chat route answered %s in %s", answer.StatusText(), answer.Timings.Total.Round(100_000))
}

func (a *App) expected(ctx context.Context, v *verdict, answer *fetch.Answer) {
	steps, ours := a.expect.Steps(ctx, string(answer.Body))
	for _, s := range steps {
		v.step(s.Name, s.OK, s.Detail)
	}
	switch {
	case len(steps) == 0 || steps[len(steps)-1].OK:
		return
	case ours:
		v.set(checks.Unknown, checks.CauseConfig, steps[len(steps)-1].Detail)
	default:
		v.set(checks.Failed, checks.CauseAssertion, steps[len(steps)-1].Detail)
	}
}

// usage is the declared cost of a request that may have reached the application: what it did then, nobody outside knows.
func (a *App) usage(answer *fetch.Answer) *checks.Usage {
	if a.params.Chat.MaxCostUSD == 0 || (answer.Status == 0 && !calls.Sent(answer.Cause, answer.Timings)) {
		return nil
	}
	return &checks.Usage{Model: spender, Cost: a.params.Chat.cost(), PriceKnown: true, Estimated: true}
}
