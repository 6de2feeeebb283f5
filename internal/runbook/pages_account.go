package runbook

import "github.com/windsock-monitor/windsock/checks"

func keyPage(s Setting) Page {
	return Page{
		Title:    "The key was refused",
		Means:    "The provider answers 401: the key is absent, wrong or revoked. Every request with it fails, and retries make nothing better: refused calls can lock a key.",
		Blame:    checks.BlameAccount,
		Severity: checks.P1,
		Actions: []Action{
			{"Which key is refused, and where does it come from? No key is shown; a fallback key that is accepted means that the other is at fault, one that is refused too that the account is", online},
			{"Is it revoked, expired or of another workspace? Compare name and date with the provider's console; the store says when it was last changed", s.Store.changed()},
			{"Make a new key and try it before you switch, in the order of key-rotation.md, which has the commands for each store; type them in an empty folder", emptyFolder},
		},
		Mitigations: []Mitigation{
			{What: "Stop the retries of refused calls in the application", Revert: "let it retry again", Expires: hour},
			{What: "Use the fallback key in the application, where it has one that is accepted", Revert: "use the first key again, after the rotation", Expires: day},
		},
		Commands: s.Rotation(),
		Escalate: "At once to who owns the account at the provider.",
		Over:     "It is over when calls with the new key are answered and the old key is shown to be refused.",
		Items:    []string{"Rotate keys by a calendar, before somebody has to", "Keep a fallback key, and have a check of the kind `credentials` try it", "Have the application read its key anew without a restart", "Find out why the key ended, and who knew"},
	}
}

// changed is how one sees when the key was changed, without seeing it.
func (s SecretStore) changed() string {
	switch {
	case s.GCP != nil:
		return "gcloud secrets versions list " + word(s.GCP.Secret) + flag("project", s.GCP.Project) + " --limit=5"
	case s.AWS != nil:
		return "aws secretsmanager list-secret-version-ids --secret-id=" + word(s.AWS.SecretID) + flag("region", s.AWS.Region)
	case s.Kubernetes != nil:
		return kubectl(s.Kubernetes.Context, s.Kubernetes.Namespace) + " get secret " + word(s.Kubernetes.Secret) + " --show-managed-fields -o go-template=" +
			`'{{range .metadata.managedFields}}{{.manager}} {{.time}}{{"\n"}}{{end}}'`
	case s.Vault != nil:
		return "vault kv metadata get" + s.Vault.flag() + " " + word(s.Vault.Path)
	case s.Systemd != nil:
		return "ls -l --time-style=full-iso " + word("/etc/credstore.encrypted/"+s.Systemd.Credential) + " " + word("/etc/credstore/"+s.Systemd.Credential)
	}
	return "ls -l PATH_OF_THE_KEY"
}

func forbiddenPage(Setting) Page {
	return Page{
		Title:    "The model is not allowed",
		Means:    "The provider answers 403: it knows the key, and does not allow it this model or action. Other models may well answer.",
		Blame:    checks.BlameAccount,
		Severity: checks.P2,
		Actions: []Action{
			{"Which models does this key get answers from?", "windsock models"},
			{"Look at plan, workspace and the key's scope in the provider's console", ""},
			{"Was the application's model or key changed? Compare with the last change", ""},
		},
		Mitigations: []Mitigation{
			{What: "Use a model in the application that the key is allowed", Revert: "name the first model again", Expires: day},
			{What: "Use a key of a workspace that may use the model", Revert: "use the first key again", Expires: day},
		},
		Commands: []Command{{"Which part of the tree?", triage, false}},
		Escalate: "Within the hour to who owns the account.",
		Over:     "It is over when the model answers with this key.",
		Items:    []string{"Before a release, have every configured model asked with the key of production (`windsock preflight`)", "Write down which plan and scope the key needs"},
	}
}

func paymentPage(Setting) Page {
	return Page{
		Title:    "The account cannot pay",
		Means:    "The provider answers 402: a spending limit is reached, the credit is used up, or an invoice failed. Nothing is answered until that is mended.",
		Blame:    checks.BlameAccount,
		Severity: checks.P1,
		Actions: []Action{
			{"Look at spending limit, credit and invoices in the provider's console", ""},
			{"What was spent, and on what? A jump means that something asks without end", status},
			{"Call who may raise the limit or pay, with both numbers", ""},
		},
		Mitigations: append([]Mitigation{{
			What: "Switch off in the application what is not needed now: batch work, previews, retries", Revert: "switch it on again", Expires: day,
		}}, elsewhere()...),
		Commands: []Command{{"What the prices are", "windsock prices", false}},
		Escalate: "At once to who pays.",
		Over:     "It is over when calls are answered.",
		Items:    []string{"Set an alert well below the spending limit", "Say who may raise the limit at night", "Bound what one request, one user and one job may spend"},
	}
}

func noAllowancePage(Setting) Page {
	return Page{
		Title:    "There is no allowance",
		Means:    "The provider answers 429 and no waiting helps: the plan allows this model nothing, or the month's allowance is used up. Every request for it fails.",
		Blame:    checks.BlameAccount,
		Severity: checks.P1,
		Actions: []Action{
			{"Is it one model or all? Which limits were seen last?", "windsock models --output markdown"},
			{"Look at plan, limits and the month's usage in the provider's console", ""},
			{"Stop retries: nothing will be answered, and they cost the rest of the limit. Find what asks most", status},
		},
		Mitigations: append([]Mitigation{{
			What: "Use a model in the application that has an allowance", Revert: "name the first model again", Expires: day,
		}}, elsewhere()...),
		Commands: []Command{{"Which part of the tree?", triage, false}},
		Escalate: "At once to who may change the plan.",
		Over:     "It is over when calls are answered; after a month's end look again whether it comes back.",
		Items:    []string{"Watch the month's usage, and warn at half of it", "Have each model's allowance in the limits page before it is used"},
	}
}

func rateLimitedPage(Setting) Page {
	return Page{
		Title:    "Too many requests",
		Means:    "The provider answers 429: more requests or tokens than the limit of the window. Some requests fail or wait; it ends by itself when less is asked.",
		Blame:    checks.BlameAccount,
		Severity: checks.P2,
		Actions: []Action{
			{"How much of which limit is left, for which model?", "windsock models --output markdown"},
			{"Which path asks most, and since when? A deploy, a loop, a batch job, a new customer", status},
			{"Do its retries wait? They must honour Retry-After, wait longer each time, and end", ""},
		},
		Mitigations: append([]Mitigation{
			{What: "Hold batch and background work, which nobody waits for", Revert: "let it go on", Expires: 4 * hour},
			{What: "Let fewer requests run at the same time in the application", Revert: "put the number back", Expires: day},
			{What: "Send a part of the requests to another model, which has its own limit", Revert: "send them back", Expires: day},
		}, elsewhere()...),
		Commands: []Command{{"Which part of the tree?", triage, false}},
		Escalate: "Within the hour to who owns the account, for a higher limit; at once where the allowance is zero (no-allowance.md).",
		Over:     "It is over when calls have been answered without 429 for a quarter of an hour of usual traffic.",
		Items:    []string{"Bound concurrency and tokens in the application, below the limit", "Prove the backoff against `windsock simulate`", "Ask for a limit that fits the traffic", "Warn earlier: the rule headroom-low"},
	}
}

func costPage(s Setting) Page {
	return Page{
		Title:    "Spend",
		Means:    "More is spent than is expected, or a budget stopped paid checks. Users notice nothing; the invoice will.",
		Blame:    checks.BlameApplication,
		Severity: checks.P3,
		Actions: []Action{
			{"How much, in which hour, and by whose count? The spend check's last run names the model", status},
			{"Are the prices right? A model that moved, or one without a price, makes sums wrong", "windsock prices"},
			{"What changed? A deploy, a retry loop, a longer prompt, a dearer model, a new customer", s.lately().Line},
		},
		Mitigations: []Mitigation{
			{What: "Hold batch and background work", Revert: "let it go on", Expires: 4 * hour},
			{What: "Lower max_tokens and the length of what is put into prompts in the application", Revert: "put them back", Expires: 2 * day},
			{What: "Use a cheaper model where the answers are good enough", Revert: "name the first model again", Expires: 2 * day},
			s.back(),
		},
		Commands: []Command{{"What aliases stand for, and what they cost", "windsock models", false}},
		Escalate: "Within 4 hours to the owner of the budget; at once if it doubles again.",
		Over:     "It is over when the last hour is as the hour usually is.",
		Items:    []string{"Bound what one request, one user and one job may spend", "Set a spending limit at the provider, and an alert well below it", "Have the cost of a release compared before it is rolled out (`windsock gate`)"},
	}
}
