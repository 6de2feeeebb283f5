package runbook

import "github.com/windsock-monitor/windsock/checks"

// The pages of what the application's metrics, and the agent of itself, say.

func trafficAPIDownPage(s Setting) Page {
	return Page{
		Title:    "The application sees 5xx",
		Means:    "The application's own metrics show more answers with 5xx a minute than the threshold. Its users get errors.",
		Blame:    checks.BlameProvider,
		Severity: checks.P1,
		Actions: []Action{
			{"Do the probes fail, too? Then it is the provider or the way to it (api-down.md); if they are well, it is the application (application.md)", triage},
			{"Its region, its proxy, its model: is one of them another one than the probes'?", status},
			{"What was deployed last?", s.lately().Line},
		},
		Mitigations: append(append(s.hold(), elsewhere()...), s.back()),
		Commands:    []Command{s.logs()},
		Escalate:    "At once to the application's team, or as api-down.md says where that fires too.",
		Over:        "It is over when the rate has been below the threshold for a quarter of an hour.",
		Items:       []string{"Have a probe take the same way as the application: region, proxy, key, model"},
	}
}

func trafficCircuitOpenPage(s Setting) Page {
	return Page{
		Title:    "The application's breaker is open",
		Means:    "The application has stopped asking the provider: it answers from its fallback, or not at all.",
		Blame:    checks.BlameApplication,
		Severity: checks.P2,
		Actions: []Action{
			{"Why did its calls fail? The alerts that fire beside this one, and its log, say it", s.logs().Line},
			{"Is the provider well? Then the breaker closes by itself with the next try", triage},
			{"What was deployed last?", s.lately().Line},
		},
		Mitigations: append(elsewhere(), s.restart()),
		Commands:    []Command{{"What else fires", "windsock alerts list", false}},
		Escalate:    "After one hour to the application's team; at once where there is no fallback.",
		Over:        "It is over when its breaker is closed on every instance.",
		Items:       []string{"Does the breaker count what it should? A 401 or a 400 is no reason to open it", "Have the fallback tried regularly"},
	}
}

func exportHeldPage(Setting) Page {
	return Page{
		Title:    "An exporter is held",
		Means:    "A backend refused a key, an address or a channel, and the exporter waits for an operator. Its results and alerts wait in the store, and are given up after `max_age`.",
		Blame:    checks.BlameOurs,
		Severity: checks.P3,
		Actions: []Action{
			{"What did the backend say?", status},
			{"Is each secret present, and is the address right?", online},
			{"Does the backend know the key, the channel or the project still? Look there", ""},
		},
		Mitigations: []Mitigation{{
			What: "Read results and alerts from the agent itself meanwhile: `windsock status`, `windsock alerts list`", Revert: "stop when the exporter delivers", Expires: day,
		}},
		Commands: []Command{{"After a correction in the file (a changed secret needs nothing)", "systemctl reload windsock", true}},
		Escalate: "To the owner of the backend, before the exporter's `max_age` is over: what waits is dropped then, and counted.",
		Over:     "It is over when records are delivered.",
		Items:    []string{"Have alerts go by two routes that share no key", "Rotate the backend's key by a calendar"},
	}
}

func exportBehindPage(Setting) Page {
	return Page{
		Title:    "An exporter is behind",
		Means:    "Records have waited for longer than they may. Dashboards and people see what was, not what is.",
		Blame:    checks.BlameOurs,
		Severity: checks.P3,
		Actions: []Action{
			{"Is the backend down, slow, or refusing?", status},
			{"What does the agent say of it?", agentLog},
			{"Is the way to the backend well?", online},
		},
		Mitigations: []Mitigation{{
			What: "Read results and alerts from the agent itself meanwhile: `windsock status`, `windsock alerts list`", Revert: "stop when nothing waits", Expires: day,
		}},
		Commands: []Command{{"How much waits, and is the store well?", "windsock store check", false}},
		Escalate: "Within 4 hours to the owner of the backend.",
		Over:     "It is over when nothing old waits.",
		Items:    []string{"Have the backend's own outages known to who reads the dashboards"},
	}
}

func storeDegradedPage(Setting) Page {
	return Page{
		Title:    "The store cannot be written",
		Means:    "The agent keeps results in memory only, and a restart loses them. Paid checks do not run, because what they cost could not be booked.",
		Blame:    checks.BlameOurs,
		Severity: checks.P2,
		Actions: []Action{
			{"Is the disk full, read-only or gone? (do not delete the database)", "df -h /var/lib/windsock; df -i /var/lib/windsock"},
			{"What does the kernel say of the disk?", "journalctl --no-pager --dmesg --since=-1h"},
			{"What takes the room?", "du -xh --max-depth=2 /var | sort -h | tail -n 15"},
		},
		Mitigations: []Mitigation{
			{What: "Make room: let old logs go", Command: "journalctl --vacuum-time=2d", Revert: "nothing to take back: what is gone is gone, so copy first what must be kept", Expires: day},
			{What: "Do not restart the agent: it writes what it has in memory when the disk is well", Revert: "nothing to take back", Expires: hour},
		},
		Commands: []Command{{"When the disk is well, see that the store is", "windsock store check", false}},
		Escalate: "At once to who runs the host.",
		Over:     "It is over when the store is written again; what was in memory is kept.",
		Items:    []string{"Have the disk watched, with a warning days before it is full", "Give the agent's state a disk of its own"},
	}
}

func reloadRefusedPage(Setting) Page {
	return Page{
		Title:    "A reload was refused",
		Means:    "The agent refused a new configuration and goes on with the one before. What was changed does not count, and nobody sees it.",
		Blame:    checks.BlameOurs,
		Severity: checks.P4,
		Actions: []Action{
			{"What is wrong, and where? With a hint", "windsock validate /etc/windsock/schedules.yaml"},
			{"What did the agent say?", agentLog},
			{"What was changed last in the file?", "ls -l --time-style=full-iso /etc/windsock"},
		},
		Mitigations: []Mitigation{{
			What:    "Put the file of before back, so that a restart does not end the agent",
			Command: "cp -p /etc/windsock/schedules.yaml.BEFORE /etc/windsock/schedules.yaml", Revert: "put the corrected file in its place", Expires: day,
		}},
		Commands: []Command{{"After the correction", "systemctl reload windsock", true}},
		Escalate: "Not needed; a restart with this file would end the agent, so do not wait for long.",
		Over:     "It is over when a reload is taken.",
		Items:    []string{"Check the file before it is deployed: `windsock validate --quiet` in the pipeline"},
	}
}

func heartbeatFailedPage(Setting) Page {
	return Page{
		Title:    "The dead man's switch is not reached",
		Means:    "The address that the agent tells that it is alive did not take it. The other side will believe that the agent is dead, and a true death would be missed among false alarms.",
		Blame:    checks.BlameOurs,
		Severity: checks.P3,
		Actions: []Action{
			{"What did the address answer?", "journalctl --no-pager --since=-1h --unit=windsock --grep=heartbeat"},
			{"Is the way out well?", online},
			{"Is the switch still there, and is its address still the same? Look at the other side", ""},
		},
		Mitigations: []Mitigation{{
			What: "Pause the switch at the other side, and look at the agent by hand", Revert: "let it go on", Expires: 4 * hour,
		}},
		Commands: []Command{{"Is the agent itself well?", status, false}},
		Escalate: "Within 4 hours to who owns the switch.",
		Over:     "It is over when a heartbeat is taken.",
		Items:    []string{"Have the switch alarm by a way that does not share the agent's network"},
	}
}
