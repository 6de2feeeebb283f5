package runbook

import "github.com/windsock-monitor/windsock/checks"

func capacityPage(Setting) Page {
	return Page{
		Title:    "The provider is full",
		Means:    "The provider says that it has no capacity for this model. The account did nothing, and a higher limit does not help.",
		Blame:    checks.BlameProvider,
		Severity: checks.P1,
		Actions: []Action{
			{"Is it one model or all of them?", "windsock models"},
			{"What does the provider say of itself? (advisory: it may be half an hour late)", told},
			{"Do the application's retries wait longer each time, and end?", ""},
		},
		Mitigations: append([]Mitigation{{
			What: "Use another model in the application, of another size or family", Revert: "name the first model again", Expires: 4 * hour,
		}}, elsewhere()...),
		Commands: []Command{{"Which part of the tree?", triage, false}},
		Escalate: "After 15 minutes to the provider's support, with the request ids of failed runs (`windsock incident show`).",
		Over:     "It is over when calls for the model have been answered for a quarter of an hour.",
		Items:    []string{"Have a second model that the application may fall back to, and try it regularly", "Move batch work to hours that are quiet"},
	}
}

func serverPage(Setting) Page {
	return Page{
		Title:    "The provider fails",
		Means:    "The provider, or what stands before it, answers 5xx. Requests fail, all or some; the key and the request are well.",
		Blame:    checks.BlameProvider,
		Severity: checks.P1,
		Actions: []Action{
			{"Does it fail without a key, too? A 401 means that the front answers, and only calls fail", unkeyed},
			{"Which models and calls fail, and what did the last runs say?", status},
			{"What does the provider say of itself? (advisory: it may be half an hour late)", told},
		},
		Mitigations: append([]Mitigation{{
			What: "Use another model in the application, if only one fails", Revert: "name the first model again", Expires: 4 * hour,
		}}, elsewhere()...),
		Commands: []Command{{"Which part of the tree?", triage, false}, {"Request ids for a ticket", "windsock incident show INCIDENT", false}},
		Escalate: "At once within the team if every call fails; after 15 minutes to the provider's support, with the request ids of failed runs.",
		Over:     "It is over when calls have been answered for a quarter of an hour; the alert resolves with the next good runs.",
		Items:    []string{"Have the fallback tried regularly, not only when it is needed", "Let retries wait, and end, so that they do not prolong the outage", "Keep what the provider said, and when: the timeline of the incident"},
	}
}

func timeoutPage(Setting) Page {
	return Page{
		Title:    "No answer in time, or a slow one",
		Means:    "The connection stands, and the answer is late or does not come before the deadline. People wait, and requests pile up.",
		Blame:    checks.BlameProvider,
		Severity: checks.P2,
		Actions: []Action{
			{"Which phase is slow? Slow dns, connect and tls are the network; a slow first byte, even of a refusal like this one, is the provider. Where all are quick, only answers are slow: the model, or the length of the prompt", phases},
			{"Which models and checks are slow, and since when?", status},
			{"Are the application's requests slow and the probes quick? Then look at its prompts, queues and pools, not at the provider", triage},
		},
		Mitigations: append([]Mitigation{
			{What: "Give each request of the application a deadline, and stream answers, so that people see something early", Revert: "take the deadline back", Expires: day},
			{What: "Shorten prompts and max_tokens where people wait", Revert: "put them back", Expires: day},
			{What: "Use a smaller model where the answers are good enough", Revert: "name the first model again", Expires: day},
		}, elsewhere()...),
		Commands: []Command{{"What the provider says of itself (advisory)", told, false}},
		Escalate: "After one hour, or when people complain, within the team; to the provider's support where only its first byte is slow.",
		Over:     "It is over when the 95th percentile has been below the threshold for a quarter of an hour.",
		Items:    []string{"Have a deadline in every call, shorter than the patience of who waits", "Have a latency objective by phase, and an alert on it", "Bound the queue before the provider"},
	}
}

func badAnswerPage(Setting) Page {
	return Page{
		Title:    "An answer that is none",
		Means:    "The provider answers, and the answer is of no use: a stream that stalls or ends early, nothing in it, not what the protocol says, a redirect, or not what was expected.",
		Blame:    checks.BlameProvider,
		Severity: checks.P2,
		Actions: []Action{
			{"What came instead? The last run of the check says it; to see it anew (a paid check costs a call)", "windsock check CHECK"},
			{"Is something between us and the provider that answers in its place? A page in HTML or a redirect is a proxy or a portal", `curl -sS -o /dev/null -m 10 -w '%{http_code} %{content_type} %{redirect_url}\n' https://api.mistral.ai/v1/models`},
			{"Does an alias stand for another model since a while? Other models give other answers", "windsock models"},
		},
		Mitigations: append([]Mitigation{
			{What: "Ask without streaming in the application, if only streams fail", Revert: "stream again", Expires: day},
			{What: "Pin the model that the alias stood for before, as long as it is there", Revert: "name the alias again", Expires: 7 * day},
		}, elsewhere()...),
		Commands: []Command{{"Which part of the tree?", triage, false}},
		Escalate: "Within the hour to the application's team; to the provider's support with request ids, where the protocol is broken.",
		Over:     "It is over when answers have been whole and as expected for a quarter of an hour.",
		Items:    []string{"Let the application treat a stream without its end as failed", "Have answers tried that people depend on (`expect` of the check chat)", "Pin models that must not change"},
	}
}

func modelGonePage(Setting) Page {
	return Page{
		Title:    "The model is gone",
		Means:    "A model that is asked for does not exist, has retired, or is not in use. Every request for it fails, and other models answer.",
		Blame:    checks.BlameConfig,
		Severity: checks.P2,
		Actions: []Action{
			{"Which model, and what replaces it?", "windsock models"},
			{"Who asks for it? The application's settings and the agent's own checks", ""},
			{"Was the name changed by a deploy? A misspelt name looks the same", ""},
		},
		Mitigations: []Mitigation{
			{What: "Name the replacement in the application's settings", Revert: "none: the model does not come back; choose one for good", Expires: 7 * day},
		},
		Commands: []Command{{"Which part of the tree?", triage, false}, {"What the replacement costs", "windsock prices", false}},
		Escalate: "Within the hour to the application's team.",
		Over:     "It is over when nothing asks for the model any more, or it answers.",
		Items:    []string{"Have retirements watched (the rule model-retiring), with an owner", "Have the models in the settings, not in the code", "Try the replacement before the end, with the application's own questions"},
	}
}

func badRequestPage(s Setting) Page {
	return Page{
		Title:    "The request was refused",
		Means:    "The provider answers 400 or 422: what is asked is not allowed, though the key is good. Every request of this form fails, and retries help nothing.",
		Blame:    checks.BlameConfig,
		Severity: checks.P2,
		Actions: []Action{
			{"What does the provider object to? The last run of the check says it", status},
			{"Does the agent's check fail, or only the application? Then its request differs: parameters that are not known, a prompt that is too long", triage},
			{"What was deployed last?", s.lately().Line},
		},
		Mitigations: append(s.hold(), s.back(), Mitigation{
			What: "Leave the parameter out that is refused", Revert: "send it again, where the provider takes it", Expires: 7 * day,
		}),
		Commands: []Command{s.logs()},
		Escalate: "Within the hour to the application's team.",
		Over:     "It is over when requests of this form are answered.",
		Items:    []string{"Have each form of request tried against the provider before a release", "Bound the prompt before it is sent", "Do not retry what the provider called wrong"},
	}
}
