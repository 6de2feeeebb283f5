package alerts

import (
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// Builtin are the rules that ship with the agent, in the order of the documentation. They are made anew at each call, and
// the caller may change them. Each says in Doc whether the checklist asks for it, or why it was added.
//
// What counts runs by their cause or blame counts failures: probe.failures says 0 for a run that went well, while a gauge
// with such a match would say nothing.
func Builtin() []Rule {
	rules := slices.Concat(outageRules(), checkRules(), accountRules(), moneyRules(), modelRules(), trafficRules(), agentRules())
	for i := range rules {
		r := &rules[i]
		r.Builtin = true
		page, _ := runbook.ForRule(r.Name)
		r.Runbook = string(page)
	}
	return rules
}

const day = 24 * time.Hour

// The attributes that the rules speak of.
const (
	byCheck    = "check"
	byKind     = "kind"
	byProvider = "provider"
	byCause    = "cause"
)

// apiKinds are the checks that ask the provider's API itself.
func apiKinds() Matcher { return only(byKind, "chat", "embeddings", "models", "usable", "credentials") }

// callKinds are the checks that pay for calls often enough to tell how the API fares now; usable asks one model in hours.
func callKinds() Matcher { return only(byKind, "chat", "embeddings") }

func only(attr string, values ...string) Matcher { return Matcher{Attr: attr, In: values} }

func but(attr string, values ...string) Matcher { return Matcher{Attr: attr, In: values, Not: true} }

// failing holds where at least so many of the last runs of a check failed so. Grouped by provider it holds where it does for any check.
func failing(least, runs int, match ...Matcher) Condition {
	c := Condition{
		Metric: "probe.failures", Match: match, Aggregate: Sum, Window: Window{Runs: runs}, MinSamples: runs,
		Op: Above, Threshold: float64(least) - 0.5, Share: &Share{Of: []string{byCheck}},
	}
	if least < runs {
		c.MinSamples = least
	}
	return c
}

// outageRules are of what does not work at all.
func outageRules() []Rule {
	outage := []Matcher{only("blame", string(checks.BlameProvider), string(checks.BlameNetwork)), but(byCause, string(checks.CauseAssertion))}
	last := failing(1, 1, slices.Concat(outage, []Matcher{callKinds()})...)
	last.Share.AtLeast = 1
	nothing := Condition{
		Metric: "probe.success", Match: []Matcher{callKinds(), only("paid", "true")}, Aggregate: Max, Window: Window{Time: 10 * time.Minute},
		MinSamples: 3, Op: Equals, Threshold: 0,
	}
	return []Rule{
		{
			Name: "api-down", Layer: LayerProbe, Severity: checks.P2, GroupBy: []string{byProvider},
			Doc: "Checklist: API down. Three failures in a row that are the provider's or the network's: P2 while some of the calls fail, P1 when " +
				"the last call of every chat and embeddings check failed, or none of at least three in ten minutes went well (an open breaker lets few through).",
			When:        failing(3, 3, slices.Concat(outage, []Matcher{apiKinds()})...),
			Escalations: []Escalation{{Severity: checks.P1, When: last}, {Severity: checks.P1, When: nothing}},
			Inhibits: &Inhibition{
				Rules: []string{"high-latency", "rate-limited", "circuit-open", "traffic-api-down", "traffic-high-latency", "traffic-rate-limited", "traffic-circuit-open"},
				Equal: []string{byProvider}, Severity: checks.P1,
			},
			Summary: `{{if eq .Severity "P1"}}{{.Labels.provider}} does not answer{{else}}some calls of {{.Labels.provider}} failed three times in a row{{end}}`,
			Impact:  "requests of the application fail, all of them where this is P1, else those of one model or path",
			Action:  "see which causes `windsock status` shows, then the provider's status page; switch to the fallback if there is one",
		},
		{
			Name: "app-down", Layer: LayerProbe, Severity: checks.P1,
			Doc:     "Added: what people feel is the application's own path, whatever the provider does.",
			When:    unshared(failing(3, 3, only(byKind, "app"))),
			GroupBy: []string{byCheck},
			Summary: "the application does not answer well: {{.Labels.check}} failed three times in a row",
			Impact:  "people who use the application get errors",
			Action:  "look at the application's own health and logs; if api-down fires too, begin there",
		},
		{
			Name: "check-failing", Layer: LayerProbe, Severity: checks.P3, GroupBy: []string{byCheck},
			Doc: "Added: an answer that is not what was asked for, a refused request or a forbidden model is nobody's outage, and must not go unseen.",
			When: unshared(failing(3, 3, only(byCause, string(checks.CauseAssertion), string(checks.CauseBadRequest), string(checks.CauseForbidden),
				string(checks.CauseConfig)), but(byKind, "app", "spend"))),
			Summary: "{{.Labels.check}} failed three times in a row, and the API is up",
			Impact:  "what this check stands for does not work",
			Action:  "run `windsock check` with the name of the check and read what it found",
		},
	}
}

// checkRules are of what works badly, will not work for long, or says nothing.
func checkRules() []Rule {
	return []Rule{
		{
			Name: "high-latency", Layer: LayerProbe, Severity: checks.P2, For: 5 * time.Minute, GroupBy: []string{byCheck},
			Doc: "Checklist: high latency, p95 above 5 s for 5 minutes, here of the last five calls that were answered.",
			When: Condition{
				Metric: "probe.duration", Match: []Matcher{callKinds(), only("status", "ok", "degraded")}, Aggregate: P95, Window: Window{Runs: 5},
				MinSamples: 3, Op: Above, Threshold: 5,
			},
			Summary: "{{.Labels.check}} takes {{seconds .Value}} (p95), want at most {{seconds .Threshold}}",
			Impact:  "people wait for answers",
			Action:  "see which phase is slow in the check's last runs: connect and tls are the network, first_token the provider",
		},
		{
			Name: "circuit-open", Layer: LayerProbe, Severity: checks.P2, GroupBy: []string{byProvider},
			Doc:     "Checklist: circuit breaker open. This one is the agent's: it has stopped paying for calls that fail.",
			When:    Condition{Metric: "windsock.breaker.state", Op: Equals, Threshold: 2},
			Summary: "the circuit breaker of {{.Labels.provider}} is open",
			Impact:  "paid checks do not run, but for one try now and then",
			Action:  "see why the calls before failed; it closes by itself when a try goes well",
		},
		{
			Name: "certificate-expiring", Layer: LayerProbe, Severity: checks.P3,
			Doc:     "Added: a certificate that ends is an outage with a date.",
			When:    Condition{Metric: "probe.ssl.earliest_cert_expiry", Until: true, Op: Below, Threshold: (14 * day).Seconds()},
			Summary: "the certificate of {{.Labels.host}} ends in {{seconds .Value}}",
			Impact:  "none yet; every connection fails when it has ended",
			Action:  "renew it, or ask its owner to; an interception proxy's certificate is your own",
		},
		{
			Name: "blind", Layer: LayerProbe, Severity: checks.P4, AbsentAfter: Window{Intervals: 3}, GroupBy: []string{byCheck},
			Doc: "Added: missing data is never green. The condition itself cannot hold; what fires is that nothing came for three intervals.",
			When: Condition{
				Metric: "probe.success", Op: Below, Threshold: 0,
			},
			Summary: "{{.Labels.check}} has given no verdict for three intervals",
			Impact:  "nobody can say whether what it watches is well",
			Action:  "see `windsock status`: is the check overdue, undetermined, or does it end in an error of the agent's own?",
		},
	}
}

// unshared takes the samples of a group together.
func unshared(c Condition) Condition {
	c.Share = nil
	return c
}
