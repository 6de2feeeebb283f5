package promsource_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend/internal/promsource"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

const key = "canary-password-4711"

// then is when the world of these tests is looked at. The server knows it since begun.
func then() time.Time  { return time.Date(2026, 6, 10, 14, 34, 20, 0, time.UTC) }
func begun() time.Time { return time.Date(2026, 6, 5, 12, 0, 0, 0, time.UTC) }

func clock(hour, minute int) time.Time { return time.Date(2026, 6, 10, hour, minute, 0, 0, time.UTC) }

type sample struct {
	at    time.Time
	value float64
}

// series is a counter of one process, and what it counted.
type series struct {
	name, labels     string
	model, direction string
	samples          []sample
	old              float64 // what it had counted at its first sample, and nobody knows when
	unreached        bool    // where it was away the process was not reached: of what it counted meanwhile nobody knows when
}

func (s *series) count(from, until time.Time, start, each float64) *series {
	for at, v := from, start; at.Before(until); at, v = at.Add(time.Minute), v+each {
		s.samples = append(s.samples, sample{at, v})
	}
	return s
}

// truth is what was counted in a window.
func (s *series) truth(from, until time.Time) float64 {
	sum, before := 0.0, sample{value: s.old}
	for i, one := range s.samples {
		switch grown := one.value - before.value; {
		case !one.at.After(from) || one.at.After(until):
		case s.unreached && i > 0 && !before.at.After(from) && one.at.Sub(before.at) > time.Minute:
		case grown < 0: // it started again
			sum += one.value
		default:
			sum += grown
		}
		before = one
	}
	return sum
}

func tokens(instance, model, direction string) *series {
	return &series{
		name: "mistral_tokens_total", model: model, direction: direction,
		labels: fmt.Sprintf(`job="shop",instance=%q,model=%q,direction=%q`, instance, model, direction),
	}
}

// world is an application of four processes: b is young, c is found late, and d is not reached for a while.
func world() []*series {
	end := then().Add(time.Minute)
	steady := tokens("a", "small", "input").count(begun(), end, 1e6, 600)
	steady.old = 1e6
	cached := tokens("a", "small", "cached").count(begun(), end, 1e5, 150)
	cached.old = 1e5
	restarted := tokens("a", "small", "output").count(begun(), clock(14, 0), 0, 60).count(clock(14, 0), end, 500, 60)
	born := tokens("b", "large", "input").count(clock(14, 11), end, 5000, 100)
	twice := tokens("b", "large", "output").count(clock(14, 12), clock(14, 20), 200, 100).count(clock(14, 20), end, 250, 4)
	late := tokens("c", "small", "input").count(clock(14, 15), end, 9e8, 10)
	late.old = 9e8
	back := tokens("a", "code", "input").count(begun(), clock(12, 0), 0, 1).count(clock(13, 50), end, 7900, 0)
	again := tokens("a", "mini", "output").count(begun(), clock(13, 0), 0, 1).count(clock(14, 0), end, 300, 2)
	both := tokens("a", "pod", "output").count(begun(), clock(12, 0), 0, 1).count(clock(13, 50), clock(14, 10), 400, 100).count(clock(14, 10), end, 380, 10)
	lost := tokens("d", "mini", "input").count(begun(), clock(11, 0), 1e6, 10).count(clock(14, 15), end, 2e6, 10)
	lost.old, lost.unreached = 1e6, true
	return []*series{steady, cached, restarted, born, twice, late, back, again, both, lost}
}

// flat prices an input token at 2, a cached one at 1 and an output token at 6 millionths of a dollar.
type flat struct{}

func (flat) Cost(u pricing.Usage, model string, _ time.Time) (checks.PicoUSD, bool) {
	if model == "nobody-knows" {
		return 0, false
	}
	return checks.Dollar / 1e6 * checks.PicoUSD(2*(u.Prompt-u.Cached)+u.Cached+6*u.Completion), true
}

// dollars is what the world cost in a window.
func dollars(from, until time.Time) float64 {
	sum := 0.0
	for _, s := range world() {
		each := map[string]float64{"input": 2, "cached": -1, "output": 6}[s.direction] // cached tokens are input too
		sum += s.truth(from, until) * each / 1e6
	}
	return sum
}

func network(tb testing.TB) *outbound.Network {
	tb.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(n.Close)
	return n
}

// open makes a source of a server at url, of parameters beside it.
func open(tb testing.TB, url, params string, state source.State, zone *time.Location) *promsource.Source {
	tb.Helper()
	var p promsource.Params
	if err := checktest.Decoder("url: "+url+"\n"+params, key).Decode(&p); err != nil {
		tb.Fatal(err)
	}
	if err := p.Validate("prometheus"); err != nil {
		tb.Fatal(err)
	}
	s, err := promsource.New(p, promsource.Options{Out: network(tb), Prices: flat{}, State: state, Zone: zone})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func read(tb testing.TB, s *promsource.Source, now time.Time) (source.Reading, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 120*time.Second)
	defer cancel()
	return s.Read(ctx, now)
}

// near compares numbers of which one looks beyond the samples, to the ends of the window: at one sample a minute that is
// half a minute of twenty.
func near(got, want float64) bool { return math.Abs(got-want) <= 0.05*want+1e-9 }

func nearUSD(a *source.Amount, want float64) bool { return a != nil && near(a.Cost.USD(), want) }
