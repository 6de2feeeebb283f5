package runbook

import (
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	hour = time.Hour
	day  = 24 * hour
)

// ResponseTime is within what time somebody answers, in words: "15 minutes".
func ResponseTime(s checks.Severity) string {
	switch s {
	case checks.P1:
		return "15 minutes"
	case checks.P2:
		return "1 hour"
	case checks.P3:
		return "4 hours"
	case checks.P4:
		return "the next business day"
	}
	return "the next business day"
}

// Lasting is a time in words: "1 hour", "15 minutes", "2 days"; as Go writes it where it is none of these in full.
func Lasting(d time.Duration) string {
	var n time.Duration
	var unit string
	switch {
	case d < time.Minute || d%time.Minute != 0:
		return d.String()
	case d%hour != 0:
		n, unit = d/time.Minute, "minute"
	case d%day != 0:
		n, unit = d/hour, "hour"
	default:
		n, unit = d/day, "day"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// Of is the branch of a cause, as a check of a kind found it and blamed somebody. A failure of our own network is that, whatever
// it looks like from the outside; what an application answers is the application's, whatever it is.
func Of(cause checks.Cause, blame checks.Blame, kind string) Branch {
	switch {
	case cause == checks.CauseNone:
		return Nobody
	case blame == checks.BlameLocal:
		return LocalNetwork
	case cause == checks.CauseConfig && blame != checks.BlameApplication:
		return Configuration
	case skipped(cause) || blame == checks.BlameOurs:
		return ofCause(ours(cause))
	case kind == "spend" && cause == checks.CauseAssertion:
		return Cost
	case blame == checks.BlameApplication || slices.Contains([]string{"app", "prometheus"}, kind):
		return Application
	}
	return ofCause(cause)
}

// ours is a cause, where the agent itself is to blame: what it says of somebody else is then not known.
func ours(cause checks.Cause) checks.Cause {
	if skipped(cause) {
		return cause
	}
	return checks.CauseInternal
}

func skipped(cause checks.Cause) bool { return cause.Blame() == checks.BlameSkipped }

func ofCause(cause checks.Cause) Branch {
	for _, end := range []struct {
		branch Branch
		causes []checks.Cause
	}{
		{Key, []checks.Cause{checks.CauseAuth}},
		{Forbidden, []checks.Cause{checks.CauseForbidden}},
		{Payment, []checks.Cause{checks.CausePayment}},
		{NoAllowance, []checks.Cause{checks.CauseNoAllowance, checks.CauseQuota}},
		{RateLimited, []checks.Cause{checks.CauseRateLimited, checks.CauseHeadroom}},
		{Capacity, []checks.Cause{checks.CauseCapacity}},
		{Server, []checks.Cause{checks.CauseServer}},
		{Timeout, []checks.Cause{checks.CauseTimeout, checks.CauseSlow}},
		{BadAnswer, []checks.Cause{
			checks.CauseStreamStalled, checks.CauseStreamTruncated, checks.CauseEmptyContent, checks.CauseMalformed,
			checks.CauseResponseTooLarge, checks.CauseUnexpectedRedirect, checks.CauseAssertion,
		}},
		{ModelGone, []checks.Cause{checks.CauseModelGone}},
		{BadRequest, []checks.Cause{checks.CauseBadRequest}},
		{Configuration, []checks.Cause{checks.CauseConfig}},
		{DNS, []checks.Cause{checks.CauseDNS}},
		{Connect, []checks.Cause{checks.CauseConnect, checks.CauseTimeoutConnect}},
		{Proxy, []checks.Cause{checks.CauseProxy}},
		{TLS, []checks.Cause{checks.CauseTLS}},
		{Cost, []checks.Cause{checks.CauseBudget}},
	} {
		if slices.Contains(end.causes, cause) {
			return end.branch
		}
	}
	return CannotTell // internal, breaker_open, overlap, missed, maintenance, and causes that plugins make up
}

// ForRule is the page of a built-in rule: an end of the tree where the rule says the same thing, else a page of its own, which
// Pages does not list and RulePages does.
func ForRule(rule string) (Branch, bool) {
	for _, e := range slices.Concat(ends(), own()) {
		if slices.Contains(e.rules, rule) {
			return e.branch, true
		}
	}
	return "", false
}

// Hint is what is different where a built-in rule fires that shares its page with others; "" for one that does not.
func Hint(rule string) string {
	switch rule {
	case "traffic-auth-failure":
		return "does auth-failure fire, too? Then the key is bad everywhere; else the application has another key than the agent."
	case "traffic-rate-limited":
		return "the application is refused, whether or not the agent's few calls are: its own traffic is what reaches the limit."
	case "rate-limited":
		return "a P1 is an allowance of zero, which waiting does not mend: go on with no-allowance.md."
	case "traffic-high-latency":
		return "are the probes slow, too? Then go on here; if they are quick, look at the application's prompts, queues and pools."
	case "quota-exhausted":
		return "the month's allowance is used up; nothing is answered until it is raised or the month ends."
	case "spend-unusual":
		return "it compares with the same hour of other days: what changed since yesterday?"
	case "traffic-cost-spike":
		return "the sum is the application's own count, by the prices that it knows; cost-spike is by the source that the agent believed."
	}
	return ""
}

// Link is where the branch's page can be read.
func (s Setting) Link(b Branch) string { return exporters.RunbookURL(string(b), s.URL) }

// Pages are those of the ends of the decision tree, in the order in which the tree asks, with placeholders in their commands.
func Pages() []Page { return filled(ends()) }

// RulePages are those of the built-in rules that are no end of the tree, with placeholders in their commands.
func RulePages() []Page { return filled(own()) }

// Page is the branch's page, filled in with what the team said. Of a name that is none it is CannotTell's.
func (b Branch) Page(s Setting) Page {
	for _, e := range slices.Concat(ends(), own()) {
		if e.branch == b {
			return e.filled(s)
		}
	}
	return CannotTell.Page(s)
}

// entry is how a page is made.
type entry struct {
	branch Branch
	page   func(Setting) Page
	rules  []string // whose page it is
}

func (e entry) filled(s Setting) Page {
	p := e.page(s)
	p.Branch, p.Related = e.branch, slices.Clone(e.rules)
	return s.asked(s.addressed(p))
}

func filled(entries []entry) []Page {
	var all []Page
	for _, e := range entries {
		all = append(all, e.filled(Setting{}))
	}
	return all
}

func ends() []entry {
	return []entry{
		{Configuration, configurationPage, nil},
		{LocalNetwork, localNetworkPage, nil},
		{DNS, dnsPage, nil},
		{Connect, connectPage, nil},
		{Proxy, proxyPage, nil},
		{TLS, tlsPage, nil},
		{Key, keyPage, []string{"auth-failure", "traffic-auth-failure"}},
		{Forbidden, forbiddenPage, nil},
		{Payment, paymentPage, []string{"payment"}},
		{NoAllowance, noAllowancePage, []string{"quota-exhausted"}},
		{RateLimited, rateLimitedPage, []string{"rate-limited", "traffic-rate-limited"}},
		{Capacity, capacityPage, nil},
		{Server, serverPage, nil},
		{Timeout, timeoutPage, []string{"high-latency", "traffic-high-latency"}},
		{BadAnswer, badAnswerPage, nil},
		{ModelGone, modelGonePage, []string{"model-gone"}},
		{BadRequest, badRequestPage, nil},
		{Application, applicationPage, []string{"app-down"}},
		{Cost, costPage, []string{"cost-spike", "spend-unusual", "traffic-cost-spike"}},
		{Nobody, nobodyPage, nil},
		{CannotTell, cannotTellPage, nil},
	}
}
