// Package prometheus asks a server that speaks the Prometheus HTTP API for numbers, by instant queries, and makes them
// measurements. It invents none: what is missing, not a number, too old or only a part of the truth is said to be so. It
// may not write, and asks for nothing but instant queries.
package prometheus

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const doc = `Asks a Prometheus, or a server that speaks its API (Thanos, Mimir, VictoriaMetrics), for numbers by instant queries, and makes each series a measurement query.NAME with its unit and the labels that by keeps.
A number is never invented: an answer without a series, NaN and infinities are missing, which is unknown unless the query says otherwise, and never zero.
An instant query answers with the time of its evaluation, so the age of the samples is asked for by a second query, min(timestamp(SELECTOR)): the selector is age_of, or the query itself where it is one.
The age is measured as probe.prometheus.sample_age, and what is older than max_age counts as missing. An answer that was evaluated longer ago than max_age by this host's clock, from a cache for example, or further in its future, counts as missing too.
A string, a range of samples and a native histogram are unknown with cause bad_request, and so are several series that the labels kept do not tell apart.
A query that the server refuses fails with bad_request and blames the configuration; a server that is down, slow or answers with a page of its own blames the network or ourselves, never the provider.
A query of more than 2000 bytes is sent by POST. The check belongs to no provider, and is free.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("prometheus", doc, Params{Partial: PolicyUnknown}, New)
	kind.Provider = checks.ProviderNamed
	return kind
}

const (
	maxBody    = 1 << 20 // of one answer: three to nine thousand series
	inFlight   = 2       // queries at the same time: an answer at its bound takes some 11 MB to read
	longestGet = 2000    // bytes of an encoded query; servers and proxies bound the URL at 4 to 8 KiB
)

// Prometheus is one check of one server.
type Prometheus struct {
	params Params
	out    outbound.Exchanger
}

// New builds the check. Without a network its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	p := &Prometheus{params: params}
	if env.Network == nil {
		return p, nil
	}
	out, ok := env.Network.(outbound.Exchanger)
	if !ok {
		return nil, fmt.Errorf("the agent's network is a %T, which cannot make requests", env.Network)
	}
	p.out = out
	return p, nil
}

// Owner is ourselves: the server is the team's own, and so are the credentials for it. It has nothing to do with the
// provider.
func (p *Prometheus) Owner() checks.Blame { return checks.BlameOurs }

// Run asks every query, a few at the same time. After the server could not be reached, nothing more is asked.
func (p *Prometheus) Run(ctx context.Context) (checks.Result, error) {
	if p.out == nil {
		return checks.Result{Cause: checks.CauseInternal}, errors.New("there is no network to ask through")
	}
	findings := make([]finding, len(p.params.Queries))
	var wg sync.WaitGroup
	var lost atomic.Bool
	slots := make(chan struct{}, inFlight)
	for i, q := range p.params.Queries {
		slots <- struct{}{}
		if lost.Load() {
			findings[i] = finding{query: q, unasked: true}
			<-slots
			continue
		}
		wg.Go(func() {
			findings[i] = p.ask(ctx, q)
			if findings[i].lost() {
				lost.Store(true)
			}
			<-slots
		})
	}
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return checks.Undetermined(checks.CauseInternal, "the run was cut short"), nil
	}
	return judge(findings), nil
}

// ask makes one query, and the one for its age.
func (p *Prometheus) ask(ctx context.Context, q Query) finding {
	f := finding{query: q}
	var got answer
	var trouble *problem
	f.exchange, got, trouble = p.instant(ctx, q.Query)
	if trouble != nil {
		f.add(trouble)
		return f
	}
	f.age = p.age(ctx, q, got)
	f.weigh(got, p.params.Partial)
	return f
}

// instant makes one instant query, evaluated now by the server's clock.
func (p *Prometheus) instant(ctx context.Context, promQL string) (*fetch.Answer, answer, *problem) {
	a := fetch.Do(ctx, p.out, p.request(promQL))
	if a.Cause != checks.CauseNone {
		r := a.Result(ctx)
		return a, answer{}, &problem{status: r.Status, cause: r.Cause, blame: honest(r.Cause), step: "query", text: r.Summary}
	}
	got, trouble := read(a)
	return a, got, trouble
}

func (p *Prometheus) request(promQL string) fetch.Request {
	header := http.Header{"Accept": {"application/json"}}
	for name, value := range p.params.Headers {
		header.Set(name, value)
	}
	req := fetch.Request{
		Method: http.MethodGet, URL: strings.TrimRight(p.params.URL, "/") + "/api/v1/query", Header: header,
		Auth: p.params.Auth, TLS: p.params.TLS, MaxBody: maxBody,
	}
	form := url.Values{"query": {promQL}}.Encode()
	if len(form) <= longestGet {
		req.URL += "?" + form
		return req
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Method, req.Body = http.MethodPost, []byte(form)
	return req
}
