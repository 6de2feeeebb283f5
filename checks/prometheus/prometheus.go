// Package prometheus asks a server that speaks the Prometheus HTTP API for numbers, by instant and range queries, and makes
// them measurements. It invents none: what is missing, not a number, too old or only a part of the truth is said to be so.
// It may not write, and asks for nothing but queries.
package prometheus

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

const doc = `Asks a Prometheus, or a server that speaks its API (Thanos, Mimir, VictoriaMetrics), for numbers, and makes each series a measurement query.NAME with its unit and the labels that by keeps.
A number is never invented: an answer without a series, NaN and infinities are missing, which is unknown unless the query says otherwise, and never zero.
An instant query answers with the time of its evaluation, so the age of the samples is asked for by a second query, min(timestamp(SELECTOR)): the selector is age_of, or the query itself where it is one.
The age is measured as probe.prometheus.sample_age, and what is older than max_age counts as missing. An answer that was evaluated longer ago than max_age by this host's clock, from a cache for example, or further in its future, counts as missing too.
A query with a range asks for the samples of each step, up to now by the server's clock, and aggregate makes one number of those of each series. Steps without a sample, and samples that are no finite numbers, are left out and never zero; a series without any is missing.
The preset checklist asks for the application's own metrics, whose names and units metrics tells: query.errors_5xx, query.errors_429 and query.errors_401 (per minute; 401 over five minutes), query.error_share, query.latency_p95, query.latency_top and query.latency_beyond (of five minutes), query.circuit_state by instance, and query.cost_hour in US dollars.
A counter's first error counts, although increase() misses it, where the server knew the target before; whole numbers stay whole. No error counter beside other metrics of the application is zero errors; nothing of the application at all is unknown. A metric that it does not have is switched off by an empty name.
A p95 above the highest bucket of a histogram is told as a little more than that bucket, and a highest bucket below metrics.latency_above degrades the check: such a histogram cannot tell.
A string, a range of samples and a native histogram are unknown with cause bad_request, and so are several series that the labels kept do not tell apart.
A query that the server refuses fails with bad_request and blames the configuration; a server that is down, slow or answers with a page of its own blames the network or ourselves, never the provider.
A query of more than 2000 bytes is sent by POST. The check belongs to no provider, and is free.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("prometheus", doc, Params{Partial: PolicyUnknown, Metrics: traffic.Checklist()}, New)
	kind.Provider = checks.ProviderNamed
	return kind
}

// inFlight is how many queries are made at the same time: an answer at its bound takes some 11 MB to read.
const inFlight = 2

// Prometheus is one check of one server.
type Prometheus struct {
	params  Params
	queries []Query // those of the preset too
	server  promql.Server
}

// New builds the check. Without a network its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	p := &Prometheus{params: params, queries: params.all(), server: promql.Server{URL: params.URL, Auth: params.Auth, Headers: params.Headers, TLS: params.TLS}}
	if env.Network == nil {
		return p, nil
	}
	out, ok := env.Network.(outbound.Exchanger)
	if !ok {
		return nil, fmt.Errorf("the agent's network is a %T, which cannot make requests", env.Network)
	}
	p.server.Out = out
	return p, nil
}

// Owner is ourselves: the server is the team's own, and so are the credentials for it. It has nothing to do with the
// provider.
func (p *Prometheus) Owner() checks.Blame { return checks.BlameOurs }

// Measures are the names of what the queries give.
func (p *Prometheus) Measures() []string {
	names := fetch.Measures("probe.prometheus.sample_age", "probe.prometheus.series")
	for _, q := range p.queries {
		names = append(names, q.measurement())
	}
	slices.Sort(names)
	return names
}

// Run asks every query, a few at the same time. After the server could not be reached, nothing more is asked.
func (p *Prometheus) Run(ctx context.Context) (checks.Result, error) {
	if p.server.Out == nil {
		return checks.Result{Cause: checks.CauseInternal}, errors.New("there is no network to ask through")
	}
	findings := make([]finding, len(p.queries))
	var wg sync.WaitGroup
	var lost atomic.Bool
	slots := make(chan struct{}, inFlight)
	for i, q := range p.queries {
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
	p.saturated(findings)
	return judge(findings), nil
}

// ask makes one query, and the one for its age.
func (p *Prometheus) ask(ctx context.Context, q Query) finding {
	f := finding{query: q}
	var got promql.Answer
	var trouble *promql.Problem
	if q.Range > 0 {
		f.exchange, got, trouble = p.over(ctx, &f)
	} else {
		f.exchange, got, trouble = p.server.Instant(ctx, q.Query, time.Time{})
	}
	if trouble != nil {
		f.add(trouble)
		return f
	}
	f.age = p.age(ctx, q, got)
	f.weigh(got, p.params.Partial)
	return f
}
