package simulator

import "time"

// Names of DemoScenario's phases, in their order.
const (
	PhaseHealthy      = "healthy"
	PhaseSlow         = "slow"
	PhaseRateLimited  = "rate_limited"
	PhaseServerErrors = "server_errors"
	PhaseKeyRevoked   = "key_revoked"
	PhaseRecovered    = "recovered"
)

// Healthy is a scenario in which nothing goes wrong, at the pace of a good day: the latencies are ours, of the size that
// a recorded answer of 2025-09-13 had.
func Healthy() *Scenario { return &Scenario{Name: "healthy", Faults: calm()} }

func calm() []Fault {
	return []Fault{
		{Route: RouteModels, Latency: 60 * time.Millisecond, Jitter: 15 * time.Millisecond},
		{Route: RouteModel, Latency: 40 * time.Millisecond, Jitter: 10 * time.Millisecond},
		{
			Route: RouteChat, Latency: 120 * time.Millisecond, Jitter: 30 * time.Millisecond,
			TimeToFirstToken: 220 * time.Millisecond, InterChunkGap: 15 * time.Millisecond,
		},
		{Route: RouteEmbeddings, Latency: 90 * time.Millisecond, Jitter: 20 * time.Millisecond},
	}
}

// limitedModel is the one whose allowance is used up in the story: limits are per model. As others answer, the breaker of
// who watches is closed when the errors come.
const limitedModel = "mistral-small-latest"

// DemoScenario tells an incident in total: healthy, slow, 429 for one model, 5xx on every route, a revoked key, recovery. The recovery
// has the longest part, for in it a breaker closes, alerts resolve and incidents end. Latencies are as on a real clock (a slow answer
// takes 7 s): Options.Speed fits them to a short total.
func DemoScenario(total time.Duration) *Scenario {
	share := func(percent int64) time.Duration { return time.Duration(int64(total) * percent / 100) }
	sc := &Scenario{
		Name: "demo", Faults: calm(),
		Phases: []Phase{
			{Name: PhaseHealthy, After: share(14)},
			{Name: PhaseSlow, After: share(14), Faults: []Fault{
				{Route: RouteChat, TimeToFirstToken: 7 * time.Second},
				{Route: RouteEmbeddings, Latency: 8 * time.Second, Jitter: time.Second},
			}},
			{Name: PhaseRateLimited, After: share(14), Faults: []Fault{
				{Route: RouteChat, Model: limitedModel, Error: "rate_limited", RetryAfter: "30s"},
				{Route: RouteEmbeddings, Error: "rate_limited", RetryAfter: "30s"},
			}},
			{Name: PhaseServerErrors, After: share(14), Faults: []Fault{
				{Error: "unavailable"},
				{Error: "bad_gateway", Probability: new(0.3)},
			}},
			{Name: PhaseKeyRevoked, After: share(10), Faults: []Fault{{KeyRevoked: true}}},
			{Name: PhaseRecovered},
		},
	}
	sc.Phases[len(sc.Phases)-1].After = total - sc.Total()
	return sc
}
