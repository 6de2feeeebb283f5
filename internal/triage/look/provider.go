package look

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/credentials"
	"github.com/windsock-monitor/windsock/checks/egress"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/checks/statuspage"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
	"github.com/windsock-monitor/windsock/internal/triage"
)

// key says whether there is a key, and nothing of it but where it was found.
func (l *looker) key(ctx context.Context) triage.Step {
	secret := l.Provider.APIKey
	step := triage.Step{LookedAt: secret.Where(), Verdict: triage.OK}
	_, err := credential.Token(ctx, secret)
	switch {
	case err == nil:
		step.Detail = "present, from " + secret.Used()
		return step
	case ctx.Err() != nil:
		step.Verdict, step.Cause, step.Detail = triage.Unknown, checks.CauseConfig, "its source did not answer in time"
		return step
	case errors.Is(err, fs.ErrPermission):
		step.Detail = "not readable for this user: " + err.Error()
	default:
		step.Detail = err.Error()
	}
	step.LookedAt = "" // the text names every place
	step.Verdict, step.Cause, step.Blame = triage.Wrong, checks.CauseConfig, checks.BlameOurs
	return step
}

// keyElsewhere judges a key that is not in this shell: the agent that runs may have it, as a credential of its unit.
func (l *looker) keyElsewhere(ctx context.Context, steps []triage.Step) {
	at := slices.IndexFunc(steps, func(s triage.Step) bool { return s.Name == triage.Key && s.Verdict == triage.Wrong })
	if at < 0 || l.Agent == nil {
		return
	}
	key := &steps[at]
	if l.Agent.Hidden(ctx) {
		key.Verdict, key.Missed = triage.Unknown, true
		key.Detail = "not in this shell, and the agent that runs, which may have it, cannot be asked: " + key.Detail
	}
	none := slices.ContainsFunc(steps, func(s triage.Step) bool {
		return s.Name == triage.Ping && s.Cause == checks.CauseConfig && strings.HasSuffix(s.LookedAt, ofAgent)
	})
	if _, _, err := l.Agent.Client(ctx); err == nil && !none {
		key.Verdict, key.Missed, key.Cause, key.Blame = triage.Unknown, true, checks.CauseNone, checks.BlameNone
		key.Detail = "not in this shell; the agent that runs may have its own, which was not tried: " + key.Detail
	}
	had := slices.ContainsFunc(steps, func(s triage.Step) bool {
		asked := s.Name == triage.Ping || s.Name == triage.ModelsList
		judged := s.Verdict == triage.OK || s.Verdict == triage.Degraded || s.Verdict == triage.Wrong
		return asked && judged && strings.HasSuffix(s.LookedAt, ofAgent)
	})
	if had {
		*key = triage.Step{Name: triage.Key, LookedAt: "the running agent", Verdict: triage.OK, Detail: "present there, and not in this shell"}
	}
}

// target is the provider's address as the way there sees it.
type target struct {
	host string
	port int
	tls  bool
	path string // of the models list
}

func targetOf(baseURL string) (target, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Hostname() == "" {
		return target{}, errors.New("the provider's address cannot be read")
	}
	t := target{host: u.Hostname(), port: 443, tls: u.Scheme == "https", path: strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1") + "/v1/models"}
	if !t.tls {
		t.port = 80
	}
	if n, err := strconv.Atoi(u.Port()); err == nil {
		t.port = n
	}
	return t, nil
}

// way is what became of the way to the provider.
type way struct {
	failed triage.Name // the step at which it ended; "": it is open
	status string      // what the models list answers without a key: "status 401"
}

// wayOut walks the way to the provider, without a key, and to the reference host.
func (l *looker) wayOut(ctx context.Context) []triage.Step {
	t, err := targetOf(l.Provider.BaseURL)
	if err != nil {
		return []triage.Step{{Name: triage.DNS, Verdict: triage.Wrong, Cause: checks.CauseConfig, Blame: checks.BlameOurs, Detail: err.Error()}}
	}
	host := l.hostOf(t)
	check, err := egress.New(egress.Params{Hosts: []egress.Host{host}, Reference: l.Reference}, l.env("way"))
	r := run(ctx, check, err)
	w := walk{looker: l, result: &r, target: t, label: host.Name}
	steps := w.steps()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = w.way.status
	return steps
}

// hostOf is the provider's host: as a check of the way out of the configuration has it, where one does.
func (l *looker) hostOf(t target) egress.Host {
	host := egress.Host{}
	for i := range l.Config.Checks {
		c := &l.Config.Checks[i]
		var params egress.Params
		if c.Kind != "egress" || c.With == nil || c.With.Decode(&params) != nil {
			continue
		}
		at := slices.IndexFunc(params.Hosts, func(h egress.Host) bool {
			return h.Host == t.host && (h.Port == t.port || h.Port == 0 && t.port == 443)
		})
		if at >= 0 {
			host = params.Hosts[at]
			break
		}
	}
	host.Name, host.Host, host.Port, host.TLS = "provider", t.host, t.port, &t.tls
	host.HTTP = &egress.HTTP{Path: t.path}
	if !t.tls {
		host.ServerName = ""
	}
	return host
}

// status is what the models list answers without a key; "" where it did not.
func (l *looker) status() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// walk reads steps from the evidence of the way out.
type walk struct {
	*looker
	result *checks.Result
	target target
	label  string
	way    way
}

func (w *walk) steps() []triage.Step {
	if len(w.result.Evidence) == 0 { // our own fault: nothing was tried
		step := StepOf(triage.DNS, w.target.host, w.result)
		w.way.failed = triage.DNS
		return []triage.Step{step}
	}
	steps := []triage.Step{w.own()}
	for _, name := range []triage.Name{triage.DNS, triage.Connect, triage.Proxy, triage.TLS} {
		steps = append(steps, w.step(name))
	}
	for _, e := range w.result.Evidence {
		if text, mine := strings.CutPrefix(e.Detail, w.label+": "); mine && e.Name == "http" {
			w.way.status = text
		}
	}
	return steps
}

// own is the reference host: whether our own network is well.
func (w *walk) own() triage.Step {
	step := triage.Step{Name: triage.OwnNetwork, LookedAt: w.Reference, Verdict: triage.Skipped, Detail: "no reference host is given"}
	for _, e := range w.result.Evidence {
		text, mine := strings.CutPrefix(e.Detail, "reference "+w.Reference+": ")
		switch {
		case !mine:
		case !e.OK:
			step.Verdict, step.Cause, step.Blame = triage.Wrong, causeOf(e.Name), checks.BlameLocal
			step.Detail = "the reference host cannot be reached: " + text
			return step
		default:
			step.Verdict, step.Detail = triage.OK, "the reference host answers: "+text
		}
	}
	return step
}

// step is one step of the way to the provider.
func (w *walk) step(name triage.Name) triage.Step {
	step := triage.Step{Name: name, LookedAt: w.target.host, Verdict: triage.Skipped}
	for _, e := range w.result.Evidence {
		text, mine := strings.CutPrefix(e.Detail, w.label+": ")
		if !mine || e.Name != string(name) {
			continue
		}
		step.Verdict, step.Detail, step.Took = triage.OK, text, w.took(name)
		switch {
		case name == triage.DNS && text == "left to the proxy":
			step.Verdict = triage.Skipped
		case e.OK:
		case w.result.Status == checks.Degraded:
			step.Verdict, step.Cause, step.Blame = triage.Degraded, w.result.Cause, w.result.Cause.Blame()
			step.Detail = strings.TrimPrefix(w.result.Summary, w.label+": ")
		default:
			w.way.failed = name
			step.Verdict, step.Cause, step.Blame = triage.Wrong, w.result.Cause, w.result.Blame
			if w.result.Status != checks.Failed {
				step.Verdict = triage.Unknown
			}
			if step.Blame == checks.BlameNone || step.Cause == checks.CauseProxy { // the reference host may need no proxy
				step.Blame = step.Cause.Blame()
			}
		}
		return step
	}
	step.Detail = w.notMade(name)
	return step
}

// notMade says why a step has no evidence.
func (w *walk) notMade(name triage.Name) string {
	proxied := slices.ContainsFunc(w.result.Evidence, func(e checks.Step) bool {
		return e.Name == "proxy" && strings.HasPrefix(e.Detail, w.label+": ")
	})
	switch {
	case w.way.failed != "":
		failed := triage.Step{Name: w.way.failed}
		return fmt.Sprintf("not reached: %s failed", failed.Words())
	case name == triage.DNS:
		return "an address, not a name"
	case name == triage.Connect && proxied:
		return "made by the proxy"
	case name == triage.Proxy:
		return "none is configured for this address"
	case name == triage.TLS && !w.target.tls:
		return "the address is plain http"
	}
	return "not reached"
}

func (w *walk) took(name triage.Name) float64 {
	of := map[triage.Name]checks.PhaseName{
		triage.DNS: checks.PhaseResolve, triage.Connect: checks.PhaseConnect, triage.Proxy: checks.PhaseConnect, triage.TLS: checks.PhaseTLS,
	}
	for _, phase := range w.result.Phases {
		if phase.Name == of[name] {
			return phase.Took.Seconds()
		}
	}
	return 0
}

func causeOf(step string) checks.Cause {
	switch step {
	case "dns":
		return checks.CauseDNS
	case "proxy":
		return checks.CauseProxy
	case "tls":
		return checks.CauseTLS
	}
	return checks.CauseConnect
}

// models asks for the list, which is free, and where there is a fallback key whether the key or the service is at fault.
func (l *looker) models(ctx context.Context) triage.Step {
	params := models.Params{MinCount: 1, RetireWithin: retireWithin}
	if l.Model != "" {
		params.Expect = []string{l.Model}
	}
	check, err := models.New(params, l.env("models"))
	r := run(ctx, check, err)
	step := StepOf(triage.ModelsList, "GET /v1/models", &r)
	if r.Status == checks.Error && r.Cause == checks.CauseConfig { // no key to ask with
		if made, ok := l.byAgent(ctx); ok {
			return made
		}
		step.Verdict, step.Cause, step.Blame, step.Notes = triage.Skipped, checks.CauseNone, checks.BlameNone, nil
		step.Detail = noKey
		return step
	}
	if r.Status == checks.Degraded && slices.ContainsFunc(r.Evidence, func(e checks.Step) bool { return e.Name == "retirement" && e.Detail == r.Summary }) {
		step.Cause, step.Blame = checks.CauseModelGone, checks.BlameConfig // who asks for it is who must move
	}
	if id := r.Facts["request_id"]; id != "" && step.Verdict == triage.Wrong {
		step.Notes = append(step.Notes, "request id "+id)
	}
	if r.Cause == checks.CauseAuth && !l.Provider.FallbackAPIKey.IsZero() {
		step.Detail = l.tellKeysApart(ctx, step.Detail)
	}
	return step
}

// ofAgent ends what is said of a check that the running agent made.
const ofAgent = " of the running agent"

// byAgent has the running agent ask for the list, where it has a check of that.
func (l *looker) byAgent(ctx context.Context) (triage.Step, bool) {
	if l.Agent == nil {
		return triage.Step{}, false
	}
	client, health, err := l.Agent.Client(ctx)
	if err != nil {
		return triage.Step{}, false
	}
	for i := range health.Checks {
		c := &health.Checks[i]
		if c.Kind != "models" || c.Provider != l.Provider.Name {
			continue
		}
		report, err := client.Run(ctx, c.Name)
		if err != nil {
			return triage.Step{}, false
		}
		return StepOf(triage.ModelsList, "check "+c.Name+ofAgent, &report.Result), true
	}
	return triage.Step{}, false
}

// noKey is what the models list says where there is no key.
const noKey = "not asked: there is no key"

// tellKeysApart asks with each key by itself.
func (l *looker) tellKeysApart(ctx context.Context, detail string) string {
	check, err := credentials.New(credentials.Params{}, l.env("keys"))
	r := run(ctx, check, err)
	if r.Cause != checks.CauseAuth {
		return detail
	}
	return r.Summary
}

// page asks the provider's status page, which is advisory.
func (l *looker) page(ctx context.Context) triage.Step {
	var check checks.Check
	var err error
	var lookedAt string
	if c := l.configured("status_page"); c != nil {
		check, err = l.build(c)
		lookedAt = "check " + c.Name
	} else if u, bad := url.Parse(l.Provider.BaseURL); bad == nil && (u.Hostname() == "mistral.ai" || strings.HasSuffix(u.Hostname(), ".mistral.ai")) {
		lookedAt = "https://status.mistral.ai"
		check, err = statuspage.New(statuspage.Params{Base: lookedAt}, l.env("page"))
	} else {
		return triage.Step{Verdict: triage.Skipped, Detail: "no page of this provider is known: give the configuration a check of the kind status_page"}
	}
	r := run(ctx, check, err)
	step := StepOf(triage.StatusPage, lookedAt, &r)
	for n := 1; r.Facts[fmt.Sprintf("incident_%d", n)] != ""; n++ {
		step.Notes = append(step.Notes, r.Facts[fmt.Sprintf("incident_%d", n)])
	}
	return step
}
