package runbook

import "github.com/windsock-monitor/windsock/checks"

// own are the pages of the built-in rules that are no end of the tree. Each is named like its rule.
func own() []entry {
	return []entry{
		{"api-down", apiDownPage, []string{"api-down"}},
		{"check-failing", checkFailingPage, []string{"check-failing"}},
		{"circuit-open", circuitOpenPage, []string{"circuit-open"}},
		{"certificate-expiring", certificateExpiringPage, []string{"certificate-expiring"}},
		{"blind", blindPage, []string{"blind"}},
		{"headroom-low", headroomLowPage, []string{"headroom-low"}},
		{"budget-exhausted", budgetExhaustedPage, []string{"budget-exhausted"}},
		{"price-unknown", priceUnknownPage, []string{"price-unknown"}},
		{"model-retiring", modelRetiringPage, []string{"model-retiring"}},
		{"alias-moved", aliasMovedPage, []string{"alias-moved"}},
		{"traffic-api-down", trafficAPIDownPage, []string{"traffic-api-down"}},
		{"traffic-circuit-open", trafficCircuitOpenPage, []string{"traffic-circuit-open"}},
		{"export-held", exportHeldPage, []string{"export-held"}},
		{"export-behind", exportBehindPage, []string{"export-behind"}},
		{"store-degraded", storeDegradedPage, []string{"store-degraded"}},
		{"reload-refused", reloadRefusedPage, []string{"reload-refused"}},
		{"heartbeat-failed", heartbeatFailedPage, []string{"heartbeat-failed"}},
	}
}

func apiDownPage(Setting) Page {
	return Page{
		Title:    "The provider cannot be used",
		Means:    "Three calls in a row failed for reasons of the provider or of the network before it. P2 while some calls fail, P1 when all that are paid for do.",
		Blame:    checks.BlameProvider,
		Severity: checks.P2,
		Actions: []Action{
			{"Find the cause, and go on with its page: dns, connect, proxy, tls, server-errors, capacity, timeout, bad-answer", triage},
			{"Does the way there work? Without a key, a 401 within a second means that it does", unkeyed},
			{"What does the provider say of itself? (advisory: it may be half an hour late)", told},
		},
		Mitigations: elsewhere(),
		Commands:    []Command{{"Each check's last verdict and cause, and the breaker", status, false}},
		Escalate:    "At once if it is P1; after 15 minutes to the provider's support, with the request ids of failed runs.",
		Over:        "It is over when calls are answered again; the alert resolves with the next good runs.",
		Items:       []string{"Have the fallback tried regularly", "Have a check for each model and way that the application depends on"},
	}
}

func checkFailingPage(Setting) Page {
	return Page{
		Title:    "A check fails, and there is no outage",
		Means:    "A check fails for a reason that is nobody's outage: another answer than was asked for, a refused request, a forbidden model, a file that cannot be used.",
		Blame:    checks.BlameConfig,
		Severity: checks.P3,
		Actions: []Action{
			{"What did it find, and with which cause? Go on with the page of the cause: bad-answer, bad-request, forbidden, configuration", status},
			{"See it fail (a paid check costs a call)", "windsock check CHECK"},
			{"What changed last in the check, in the application, or in what an alias stands for?", "windsock models"},
		},
		Mitigations: []Mitigation{{
			What:    "Silence this one check, where the reason is known and is being mended",
			Command: `windsock alerts silence check-failing check=CHECK --for 24h --reason "TICKET"`, Revert: "windsock alerts silence --expire ID", Expires: day,
		}},
		Commands: []Command{{"Is the file well?", "windsock validate", false}},
		Escalate: "Within 4 hours to the owner of the check.",
		Over:     "It is over when the check is well again.",
		Items:    []string{"Give each check an owner", "Have what the check expects changed with what it looks at"},
	}
}

func circuitOpenPage(Setting) Page {
	return Page{
		Title:    "The agent's breaker is open",
		Means:    "The agent has stopped paying for calls to this provider, because they failed; one try now and then goes through. What the paid checks watch is hardly watched.",
		Blame:    checks.BlameProvider,
		Severity: checks.P2,
		Actions: []Action{
			{"Why did the calls before fail? Their cause is the cause: go on with the alert that fires beside this one", status},
			{"Is the provider well now?", "windsock triage --free"},
			{"Wait for the next try: the breaker closes by itself when one goes well", ""},
		},
		Mitigations: []Mitigation{{
			What: "Watch the provider by hand or from another host meanwhile", Revert: "stop when the breaker is closed", Expires: 4 * hour,
		}},
		Commands: []Command{{"What happened, in order", "windsock incident list", false}},
		Escalate: "With the alert that explains it.",
		Over:     "It is over when the breaker is closed.",
		Items:    []string{"Is the breaker's reset as short as the budget allows?"},
	}
}

func certificateExpiringPage(Setting) Page {
	return Page{
		Title:    "A certificate ends soon",
		Means:    "A certificate on the way to the provider, or the application's own, ends soon. Nothing fails yet; every connection fails when it has ended.",
		Blame:    checks.BlameNetwork,
		Severity: checks.P3,
		Actions: []Action{
			{"Whose is it, and when does it end? The alert names the host", "openssl s_client -connect HOST:443 -servername HOST </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -enddate"},
			{"Does it renew by itself, and did that fail? An issuer that is your own company is your own proxy", ""},
			{"Tell its owner, with the date", ""},
		},
		Mitigations: []Mitigation{{
			What: "Renew it by hand, where it renews by itself as a rule", Revert: "nothing to take back: the next one comes by itself again", Expires: 60 * day,
		}},
		Commands: []Command{{"What the agent sees", status, false}},
		Escalate: "Three days before the end to who owns the host.",
		Over:     "It is over when the new certificate is seen.",
		Items:    []string{"Have certificates renew by themselves, and watch that they do", "Write down who owns each certificate"},
	}
}

func blindPage(Setting) Page {
	return Page{
		Title:    "A check says nothing",
		Means:    "For three intervals a check has given no verdict that counts. Missing data is no good news: what it watches may be down.",
		Blame:    checks.BlameOurs,
		Severity: checks.P4,
		Actions: []Action{
			{"Why? Overdue: the host is short of CPU; skipped: budget or breaker; error: the agent's own; unknown: the source that it asks is silent", status},
			{"See what it finds now (a paid check costs a call)", "windsock check CHECK"},
			{"What does the agent say?", agentLog},
		},
		Mitigations: []Mitigation{{
			What: "Watch what it watches by hand or from another host", Revert: "stop when the check gives verdicts", Expires: day,
		}},
		Commands: []Command{{"Is the agent's host well?", online, false}},
		Escalate: "The next business day; at once if the check is your only view of the provider.",
		Over:     "It is over when a run is judged again.",
		Items:    []string{"Have what matters watched by two checks that do not share a source"},
	}
}

func headroomLowPage(Setting) Page {
	return Page{
		Title:    "Little is left of a rate limit",
		Means:    "Little is left of a rate limit, and the 429 are near. The agent holds its own paid checks back, so that the rest is the application's.",
		Blame:    checks.BlameAccount,
		Severity: checks.P3,
		Actions: []Action{
			{"Which limit, of which model, and how much is left?", "windsock models --output markdown"},
			{"Which path asks most, and since when?", status},
			{"Will it grow? A batch job ends; a customer stays", ""},
		},
		Mitigations: []Mitigation{
			{What: "Hold batch and background work, which nobody waits for", Revert: "let it go on", Expires: 4 * hour},
			{What: "Let fewer requests run at the same time in the application", Revert: "put the number back", Expires: day},
		},
		Commands: []Command{{"Where it stands in the tree", "windsock triage --free", false}},
		Escalate: "If it comes every day, to the owner of the account: ask for a higher limit.",
		Over:     "It is over when the headroom has been above the threshold for 5 minutes.",
		Items:    []string{"Ask for a limit that fits the traffic of the next half year", "Give batch work a key and a workspace of its own"},
	}
}

func budgetExhaustedPage(Setting) Page {
	return Page{
		Title:    "The agent's budget is spent",
		Means:    "The agent's own budget is a hard stop, and it is reached: paid checks do not run, and what they watch is not watched.",
		Blame:    checks.BlameSkipped,
		Severity: checks.P3,
		Actions: []Action{
			{"What was spent, and when is there room again?", status},
			{"What can the schedule cost, and is it more than the budget?", "windsock validate"},
			{"Are the prices right? A model without a price counts as the dearest", "windsock prices"},
		},
		Mitigations: []Mitigation{
			{What: "Run the dearest paid check more seldom, and reload", Command: "systemctl reload windsock", Revert: "put the schedule back, and reload", Expires: 7 * day},
			{What: "Raise `budget` in the agent's file, and reload", Command: "systemctl reload windsock", Revert: "put the budget back, and reload", Expires: 7 * day},
		},
		Commands: []Command{{"Watch what costs nothing meanwhile", "windsock triage --free", false}},
		Escalate: "Within 4 hours, if the provider must be watched meanwhile: watch it by hand.",
		Over:     "It is over when paid checks run.",
		Items:    []string{"Have the budget fit the schedule with room for an incident, in which checks run more often"},
	}
}

func priceUnknownPage(Setting) Page {
	return Page{
		Title:    "A model has no price",
		Means:    "The price of a model that is used is not known. The dearest known one counts, so that the budget ends sooner than it must.",
		Blame:    checks.BlameConfig,
		Severity: checks.P4,
		Actions: []Action{
			{"Which model, and what is known?", "windsock prices"},
			{"Look its price up on the provider's page", ""},
			{"Give it below `prices:` in the agent's file, and see that the file is well", "windsock validate"},
		},
		Mitigations: []Mitigation{{
			What: "Leave it: the dearest price counts, which is safe", Revert: "give the price", Expires: 14 * day,
		}},
		Commands: []Command{{"Have the agent read the file anew", "systemctl reload windsock", true}},
		Escalate: "Not needed.",
		Over:     "It is over when the price is known.",
		Items:    []string{"Give the price of a model before it is used"},
	}
}

func modelRetiringPage(Setting) Page {
	return Page{
		Title:    "A model retires soon",
		Means:    "A model that is used retires soon. Nothing fails yet; every request for it fails when it is gone.",
		Blame:    checks.BlameConfig,
		Severity: checks.P3,
		Actions: []Action{
			{"Which model, when, and what replaces it?", "windsock models"},
			{"Who asks for it? The application's settings, its code, and the agent's own checks", ""},
			{"Try the replacement with the application's own questions, and plan the release", ""},
		},
		Mitigations: []Mitigation{{
			What:    "Silence it until the release that is planned",
			Command: `windsock alerts silence model-retiring model=MODEL --for 168h --reason "TICKET"`, Revert: "windsock alerts silence --expire ID", Expires: 7 * day,
		}},
		Commands: []Command{{"What the replacement costs", "windsock prices", false}},
		Escalate: "A week before the end to who owns the application.",
		Over:     "It is over when nothing names the model any more.",
		Items:    []string{"Have the models in the settings, not in the code", "Keep the list of who uses which model: `windsock models --output markdown`"},
	}
}

func aliasMovedPage(s Setting) Page {
	return Page{
		Title:    "An alias stands for another model",
		Means:    "An alias that is used has come to stand for another model. Answers, latency and cost may differ, without a deploy.",
		Blame:    checks.BlameProvider,
		Severity: checks.P4,
		Actions: []Action{
			{"From what to what, and when?", "windsock models"},
			{"Are answers, latency and cost as before?", status},
			{"Has something else changed at the same time?", s.lately().Line},
		},
		Mitigations: []Mitigation{{
			What: "Name the model that the alias stood for before, as long as it is there", Revert: "name the alias again", Expires: 30 * day,
		}},
		Commands: []Command{{"What it costs now", "windsock prices", false}},
		Escalate: "The next business day, and only if answers got worse.",
		Over:     "It is over when a day has passed.",
		Items:    []string{"Pin models where answers must not change"},
	}
}
