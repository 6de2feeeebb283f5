package runbook

import "github.com/windsock-monitor/windsock/checks"

// What is asked on several pages.
const (
	status    = "windsock status"
	triage    = "windsock triage"
	online    = "windsock validate --online"
	unkeyed   = `curl -sS -o /dev/null -m 10 -w '%{http_code} %{time_total}\n' https://api.mistral.ai/v1/models`
	phases    = `curl -sS -o /dev/null -m 30 -w 'dns %{time_namelookup} connect %{time_connect} tls %{time_appconnect} first %{time_starttransfer}\n' https://api.mistral.ai/v1/models`
	reference = `curl -sS -o /dev/null -m 10 -w '%{http_code} %{time_total}\n' https://www.debian.org/`
	told      = `curl -sS -m 10 https://status.mistral.ai/api/v1/status.json`
	agentLog  = "journalctl --no-pager --since=-15min --unit=windsock"
)

// elsewhere are the mitigations of everything that the provider, or the way to it, does to us.
func elsewhere() []Mitigation {
	return []Mitigation{
		{
			What:   "Answer from the application's fallback: a cache, another region of the provider, or another provider, where it has one",
			Revert: "switch the fallback off in the application", Expires: 2 * hour,
		},
		{
			What:   "Say in the application that answers are not to be had for now, rather than letting people wait",
			Revert: "take the notice away", Expires: hour,
		},
	}
}

func configurationPage(Setting) Page {
	return Page{
		Title:    "The agent's own configuration",
		Means:    "The agent's file, or a secret that it names, cannot be used. Nothing is known of the provider, and users may be well.",
		Blame:    checks.BlameOurs,
		Severity: checks.P3,
		Actions: []Action{
			{"Read what is wrong, with its place and a hint", "windsock validate"},
			{"See whether each secret is present and where it comes from; no key is shown", online},
			{"What does the agent say, and was a reload refused?", agentLog},
		},
		Mitigations: []Mitigation{{
			What:    "Go on with the configuration before: a running agent does so by itself; where it does not run, put the file of before in its place",
			Command: "cp -p /etc/windsock/schedules.yaml.BEFORE /etc/windsock/schedules.yaml", Revert: "put the corrected file in its place", Expires: day,
		}},
		Commands: []Command{
			{"After a correction, have the agent read the file anew", "systemctl reload windsock", true},
			{"See that the reload was taken", status, false},
		},
		Escalate: "The next business day to who owns the agent's configuration; within the hour if nothing else watches the provider.",
		Over:     "It is over when `windsock validate --online` finds nothing wrong and the checks give verdicts.",
		Items:    []string{"Check the file before it is deployed: `windsock validate --quiet` in the pipeline", "Say who owns the agent's secrets, and where they come from"},
	}
}

func localNetworkPage(Setting) Page {
	return Page{
		Title:    "Our own network",
		Means:    "A host that has nothing to do with the provider cannot be reached either, or this host's firewall refuses. Whoever is on the same network has no answers.",
		Blame:    checks.BlameLocal,
		Severity: checks.P1,
		Actions: []Action{
			{"Is it this host, or all of its network? Try the same from another host", reference},
			{"Has this host an address, a route and a resolver?", "ip -brief address && ip route get 1.1.1.1 && getent ahosts www.debian.org"},
			{"Was a firewall, a route, a proxy or a network policy changed? Ask whoever runs the network, and read this host's rules", "nft list ruleset"},
		},
		Mitigations: []Mitigation{
			{What: "Send the application's traffic to another site or zone that has a way out", Revert: "send it back to this one", Expires: 4 * hour},
			{What: "Say in the application that answers are not to be had for now", Revert: "take the notice away", Expires: hour},
		},
		Commands: []Command{{"Which part of the way fails?", triage, false}, {"What the agent sees of this host", online, false}},
		Escalate: "At once to who runs the network; the provider can do nothing.",
		Over:     "It is over when the reference host and the provider are both reached again, twice in a row.",
		Items:    []string{"Watch a reference host (`egress`) from each site", "Write down which ways out the application needs", "Have changes to firewalls noted: `windsock incident mark`"},
	}
}

func dnsPage(Setting) Page {
	return Page{
		Title:    "The name does not resolve",
		Means:    "The provider's name could not be resolved, though other names can. No request can begin.",
		Blame:    checks.BlameNetwork,
		Severity: checks.P1,
		Actions: []Action{
			{"What does this host's resolver say?", "getent ahosts api.mistral.ai"},
			{"What do others say? An answer here means that our resolver is at fault", "resolvectl query api.mistral.ai; dig +time=3 +tries=1 api.mistral.ai @1.1.1.1"},
			{"Look for a block list, a split horizon or a stale entry", "cat /etc/resolv.conf; grep -n mistral /etc/hosts"},
		},
		Mitigations: []Mitigation{
			{What: "Forget what the resolver remembers", Command: "resolvectl flush-caches", Revert: "nothing to take back: it asks anew", Expires: hour},
			{What: "Use another resolver on this link", Command: "resolvectl dns LINK 1.1.1.1", Revert: "resolvectl revert LINK", Expires: 4 * hour},
		},
		Commands: []Command{{"Which part of the way fails?", triage, false}},
		Escalate: "At once to who runs the resolvers; to the provider only where resolvers elsewhere fail too.",
		Over:     "It is over when the name resolves on this host and the calls are answered; never pin an address of the provider for it: they change.",
		Items:    []string{"Use two resolvers that do not share a fault", "Watch the name with an `egress` check on each resolver"},
	}
}

func connectPage(s Setting) Page {
	return Page{
		Title:    "No connection",
		Means:    "The name resolves, and no connection comes about: refused, reset, no route, or silence. No request reaches the provider.",
		Blame:    checks.BlameNetwork,
		Severity: checks.P1,
		Actions: []Action{
			{"Does anything answer? A 401 within a second means that the way is free", unkeyed},
			{"Where does it end? Try IPv4 and IPv6 apart", `curl -4 -sS -o /dev/null -m 10 -w '%{http_code} %{remote_ip}\n' https://api.mistral.ai/v1/models; curl -6 -sS -o /dev/null -m 10 -w '%{http_code} %{remote_ip}\n' https://api.mistral.ai/v1/models`},
			{"Does a firewall, a security group or a network policy let port 443 out? What was deployed or changed last?", s.lately().Line},
		},
		Mitigations: elsewhere(),
		Commands:    []Command{{"Which part of the way fails?", triage, false}, {"The way, hop by hop", "tracepath -n api.mistral.ai", false}, {"What the provider says of itself (advisory)", told, false}},
		Escalate:    "At once to who runs the network; to the provider where another network cannot connect either.",
		Over:        "It is over when calls are answered from this host, twice in a row.",
		Items:       []string{"Have the egress rules reviewed with the list of hosts that the application needs", "Give the application a connect timeout well below its own deadline"},
	}
}

func proxyPage(Setting) Page {
	return Page{
		Title:    "The proxy",
		Means:    "The proxy between us and the provider refuses, fails or cannot be reached. Everybody behind it has no answers.",
		Blame:    checks.BlameNetwork,
		Severity: checks.P1,
		Actions: []Action{
			{"Which proxy is used, and for which hosts not? (a password in it is not shown)", `env | grep -i _proxy= | sed -E 's,=([A-Za-z0-9]+://)?.*@,=\1,'`},
			{"What does the proxy answer? 407: it wants credentials; 403: the host is not allowed; 5xx: it does not get out itself", `curl -sS -o /dev/null -m 10 -w 'proxy %{http_connect} then %{http_code}\n' https://api.mistral.ai/v1/models`},
			{"Is it well without the proxy, from a host that may go out directly?", `curl --noproxy '*' -sS -o /dev/null -m 10 -w '%{http_code}\n' https://api.mistral.ai/v1/models`},
		},
		Mitigations: append([]Mitigation{{
			What:   "Go around the proxy for this one host, where the network lets it: add api.mistral.ai to NO_PROXY of the application",
			Revert: "take api.mistral.ai out of NO_PROXY again", Expires: 4 * hour,
		}}, elsewhere()...),
		Commands: []Command{{"Which part of the way fails?", triage, false}},
		Escalate: "At once to who runs the proxy.",
		Over:     "It is over when calls through the proxy are answered, twice in a row.",
		Items:    []string{"Have api.mistral.ai on the proxy's list, with an owner", "Watch the way through the proxy with an `egress` check", "Write down whose credentials the proxy takes, and when they end"},
	}
}

func tlsPage(Setting) Page {
	return Page{
		Title:    "TLS",
		Means:    "The connection stands, and the handshake fails: a certificate that has ended, is of another name, or is of an authority that this host does not trust. No request is sent.",
		Blame:    checks.BlameNetwork,
		Severity: checks.P1,
		Actions: []Action{
			{"Whose certificate is it? An issuer that is your own company is an intercepting proxy", "openssl s_client -connect api.mistral.ai:443 -servername api.mistral.ai </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -dates"},
			{"Is this host's clock right? A wrong clock makes good certificates bad", "timedatectl"},
			{"Does this host trust the authority? Compare with another host", `curl -sS -o /dev/null -m 10 -w 'verify %{ssl_verify_result}\n' https://api.mistral.ai/v1/models`},
		},
		Mitigations: append([]Mitigation{{
			What:    "Trust the intercepting proxy's authority, where it is your own (never switch verification off)",
			Command: "install -m 0644 AUTHORITY.crt /usr/local/share/ca-certificates/ && update-ca-certificates",
			Revert:  "rm /usr/local/share/ca-certificates/AUTHORITY.crt && update-ca-certificates --fresh", Expires: 7 * day,
		}}, elsewhere()...),
		Commands: []Command{{"Which part of the way fails?", triage, false}},
		Escalate: "At once to who runs the proxy or the host's trust; to the provider where its own certificate is at fault.",
		Over:     "It is over when the handshake is good from this host, and the certificate lasts for longer than 14 days.",
		Items:    []string{"Have the end of each certificate on the way watched (the rule certificate-expiring)", "Have the clock of each host kept right"},
	}
}
