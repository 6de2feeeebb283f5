package runbook

import "github.com/windsock-monitor/windsock/checks"

func applicationPage(s Setting) Page {
	return Page{
		Title:    "The application only",
		Means:    "The provider answers us well, and the application does not. People who use it get errors, and the cause is on our side.",
		Blame:    checks.BlameApplication,
		Severity: checks.P1,
		Actions: []Action{
			{"What was deployed last, and did the trouble begin with it?", s.lately().Line},
			{"What does the application say of itself and of its errors?", s.logs().Line},
			{"Is its key, model or way out another one than the agent's? Walk the tree beside it", "windsock triage --app APPLICATION_URL"},
		},
		Mitigations: append(s.hold(), s.restart(), s.back()),
		Commands:    append(s.Rollback(), s.Resume()...),
		Escalate:    "At once to the application's team.",
		Over:        "It is over when the application's own path has been well for 5 minutes: health and smoke test, as users go.",
		Items:       []string{"Have the release watched while it is rolled out (`windsock gate`)", "Have the health route say what is wrong, and for how long", "Add a test that would have seen it before the release"},
	}
}

// restart is the mitigation that starts the application anew.
func (s Setting) restart() Mitigation {
	return Mitigation{
		What:    "Restart it, where it hangs or has run out of something; what it says goes with it, so keep its log first",
		Command: s.Restart()[0].Line, Revert: "nothing to take back: the same version runs", Expires: hour,
	}
}

func nobodyPage(s Setting) Page {
	return Page{
		Title:    "Nothing is wrong that can be seen",
		Means:    "Everything that was looked at is well. If people still see errors, they are of some users, some paths, or are over.",
		Blame:    checks.BlameNone,
		Severity: checks.P4,
		Actions: []Action{
			{"Ask who saw it: when, where, which request, which error", ""},
			{"Did something fail and recover? Look at the last hours", "windsock incident list"},
			{"Look at what the probes do not: one region, one customer, one path of the application", s.logs().Line},
		},
		Mitigations: []Mitigation{{
			What: "Look more often while it is in doubt: a short schedule for the checks in question", Revert: "put the schedule back", Expires: 4 * hour,
		}},
		Commands: []Command{{"Look again", triage, false}},
		Escalate: "Not needed; when a second person reports it, within the hour to the application's team.",
		Over:     "It is over when who reported it finds it well.",
		Items:    []string{"Add a check of the path that failed and was not watched"},
	}
}

func cannotTellPage(Setting) Page {
	return Page{
		Title:    "Nobody can tell",
		Means:    "Too little could be looked at: no key, no budget, an open breaker, a run that the agent could not make. That is no good news.",
		Blame:    checks.BlameOurs,
		Severity: checks.P3,
		Actions: []Action{
			{"Why was nothing seen? Overdue, skipped by budget or breaker, or an error of the agent's own", status},
			{"Is the agent's host, file and each secret well?", online},
			{"Look by hand meanwhile: a 401 within a second means that the way to the provider is free", unkeyed},
		},
		Mitigations: []Mitigation{{
			What: "Watch the provider from another host, or by hand, until the agent sees again", Revert: "stop when the checks give verdicts", Expires: day,
		}},
		Commands: []Command{{"What does the agent say?", agentLog, false}, {"Walk the tree again, with what is missing given", triage, false}},
		Escalate: "Within 4 hours to who owns the agent; treat it as an outage if people report errors.",
		Over:     "It is over when the checks give verdicts again.",
		Items:    []string{"Give the agent what it lacked, and a second agent elsewhere", "Have a dead man's switch watch the agent (`heartbeat`)"},
	}
}
