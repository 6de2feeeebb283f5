package alerts

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// accountRules are of keys, limits and payment.
func accountRules() []Rule {
	refused := failing(1, 1, only(byCause, string(checks.CauseAuth)))
	nothing := failing(1, 1, only(byCause, string(checks.CauseNoAllowance)))
	fallback := func(valid float64) Condition {
		return Condition{Metric: "probe.key.valid", Match: []Matcher{only("key", "fallback")}, Op: Equals, Threshold: valid}
	}
	return []Rule{
		{
			Name: "auth-failure", Layer: LayerProbe, Severity: checks.P1, GroupBy: []string{byProvider},
			Doc:  "Checklist: authentication failure, any 401. The fallback key, where there is one, tells a bad key from a bad account or service.",
			When: refused,
			Notes: []Note{
				{fallback(1), "the fallback key is accepted: the key itself is missing, wrong or revoked"},
				{fallback(0), "the fallback key is refused too: the account or the service is at fault, not one key"},
				{refused, "no fallback key was tried, so nobody can tell a bad key from a bad account or service: give fallback_api_key and a check of the kind credentials"},
			},
			Summary: "{{.Labels.provider}} refuses the key (401)",
			Impact:  "every request with this key fails",
			Action:  "do not retry; compare the key with the provider's console, and rotate it where it is at fault",
		},
		{
			Name: "rate-limited", Layer: LayerProbe, Severity: checks.P2, GroupBy: []string{byProvider},
			Doc: "Checklist: rate limited. Two of three runs with 429; P1 where the allowance is zero, which waiting does not mend. " +
				"A provider that is full (capacity) is not the account's doing, and counts as api-down.",
			When:        Condition{Any: []Condition{failing(2, 3, only(byCause, string(checks.CauseRateLimited))), nothing}},
			Escalations: []Escalation{{Severity: checks.P1, When: nothing}},
			Notes: []Note{
				{nothing, "the allowance is zero: this model or plan gives none, and no waiting helps"},
			},
			Summary: "{{.Labels.provider}} answers 429: {{if eq .Severity \"P1\"}}there is no allowance{{else}}too many requests or tokens{{end}}",
			Impact:  "requests of the application wait or fail",
			Action:  "slow down what asks most, or ask for a higher limit; where the allowance is zero, change the plan or the model",
		},
		{
			Name: "quota-exhausted", Layer: LayerProbe, Severity: checks.P1, GroupBy: []string{byProvider},
			Doc:     "Added: the month's allowance is used up, so nothing is answered until it is raised or the month ends.",
			When:    failing(1, 1, only(byCause, string(checks.CauseQuota))),
			Summary: "the month's allowance at {{.Labels.provider}} is used up",
			Impact:  "every request fails until the allowance is raised",
			Action:  "raise the limit in the provider's console",
		},
		{
			Name: "payment", Layer: LayerProbe, Severity: checks.P1, GroupBy: []string{byProvider},
			Doc:     "Added: 402 is a spending limit, credit that is used up or an invoice that failed, and refuses all requests.",
			When:    failing(1, 1, only(byCause, string(checks.CausePayment))),
			Summary: "{{.Labels.provider}} wants to be paid (402)",
			Impact:  "every request fails until it is paid",
			Action:  "look at limit, credit and invoices in the provider's console",
		},
		{
			Name: "headroom-low", Layer: LayerProbe, Severity: checks.P3, KeepFiringFor: 5 * time.Minute,
			Doc:     "Added: below a tenth of a rate limit the 429 are near. The agent pauses its own paid checks there.",
			When:    Condition{Metric: "windsock.headroom.share", Op: Below, Threshold: 0.10},
			Summary: "{{percent .Value}} of the {{.Labels.resource}} limit of {{.Labels.model}} is left ({{.Labels.window}})",
			Impact:  "none yet; the application's requests will be refused when nothing is left",
			Action:  "see what asks most; slow it down, or ask for a higher limit",
		},
	}
}

// moneyRules are of the application's spend, and of the agent's own budget.
func moneyRules() []Rule {
	return []Rule{
		{
			Name: "cost-spike", Layer: LayerProbe, Severity: checks.P3, GroupBy: []string{byCheck},
			Doc: "Checklist: cost spike, above 10 US dollars an hour. It is the application's spend by the source that was believed; the agent's own is the budget's business.",
			When: Condition{
				Metric: "spend.hour.usd", Match: []Matcher{only("source", "")}, Op: Above, Threshold: 10,
			},
			Summary: "the application spent {{usd .Value}} in the last hour, want at most {{usd .Threshold}}",
			Impact:  "money",
			Action:  "see which model and which path asks more than usual: `windsock status` and the spend check's last run",
		},
		{
			Name: "spend-unusual", Layer: LayerProbe, Severity: checks.P3, GroupBy: []string{byCheck},
			Doc:     "Added: five times what is usual at this hour of the day is worth a look at any amount. It needs five days of history.",
			When:    Condition{Metric: "spend.spike_factor", Op: Above, Threshold: 5},
			Summary: "the application spends {{number .Value}} times what is usual at this hour",
			Impact:  "money, and perhaps a loop that asks without end",
			Action:  "see what changed: a deploy, a retry loop, a new customer",
		},
		{
			Name: "budget-exhausted", Layer: LayerProbe, Severity: checks.P3, GroupBy: []string{byProvider},
			Doc: "Added: the agent's budget is a hard stop, and a check that was not paid for has said nothing.",
			When: Condition{
				Metric: "probe.skips", Match: []Matcher{only("reason", string(checks.CauseBudget))}, Aggregate: Sum, Window: Window{Time: 15 * time.Minute},
				Op: Above, Threshold: 0,
			},
			Summary: "the budget stops paid checks of {{.Labels.provider}}",
			Impact:  "what the paid checks watch is not watched",
			Action:  "see `windsock status` for what was spent; run paid checks more seldom, or raise `budget`",
		},
		{
			Name: "price-unknown", Layer: LayerProbe, Severity: checks.P4, GroupBy: []string{byProvider},
			Doc:     "Added: where the price of a model is not known the dearest one counts, and the budget ends sooner than it must.",
			When:    Condition{Metric: "windsock.prices.unknown", Op: Above, Threshold: 0},
			Summary: "the price of {{number .Value}} models at {{.Labels.provider}} is not known",
			Impact:  "their runs count at the dearest known price",
			Action:  "see `windsock prices`, and give the price below `prices:`",
		},
	}
}

// modelRules are of models that come and go.
func modelRules() []Rule {
	return []Rule{
		{
			Name: "model-retiring", Layer: LayerProbe, Severity: checks.P3,
			Doc:     "Added: a model that retires in less than 30 days takes a release of the application to replace.",
			When:    Condition{Metric: "probe.llm.model.retirement_time", Until: true, Op: Below, Threshold: (30 * day).Seconds()},
			Summary: "the model {{.Labels.model}} retires in {{seconds .Value}}",
			Impact:  "none yet; requests for it fail when it is gone",
			Action:  "choose another and try it; `windsock models` shows what is named where",
		},
		{
			Name: "alias-moved", Layer: LayerProbe, Severity: checks.P4, GroupBy: []string{byCheck},
			Doc: "Added: an alias that stands for another model changes answers, latency and cost without a deploy. It is told for a day.",
			When: Condition{
				Metric: "probe.llm.model.moves", Aggregate: Sum, Window: Window{Time: day}, Op: Above, Threshold: 0,
			},
			Summary: "an alias that {{.Labels.check}} watches stands for another model since today",
			Impact:  "answers, latency and cost may differ",
			Action:  "see `windsock models` for what moved; try the new model, or pin the one before",
		},
		{
			Name: "model-gone", Layer: LayerProbe, Severity: checks.P2, GroupBy: []string{byCheck},
			Doc: "Added: a model that is not listed, refuses or does not exist fails for everyone who asks for it, and is no outage of the provider.",
			When: Condition{Any: []Condition{
				{Metric: "probe.llm.model.listed", Aggregate: Min, Op: Equals, Threshold: 0},
				{Metric: "probe.llm.model.usable", Aggregate: Min, Op: Equals, Threshold: 0},
				unshared(failing(1, 1, only(byCause, string(checks.CauseModelGone)))),
			}},
			Summary: "a model that {{.Labels.check}} asks for is gone",
			Impact:  "requests for this model fail",
			Action:  "see `windsock models` for which, and what replaces it",
		},
	}
}
