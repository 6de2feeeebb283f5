package preflight

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/credentials"
	"github.com/windsock-monitor/windsock/checks/usable"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/headroom"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

const (
	askFor    = 10 * time.Second // each key, each model
	newEnough = 24 * time.Hour   // what was seen of a rate limit is no news after that
	mostModel = 50               // of one provider
)

// account looks at the keys, at what they may use, and, when the models were asked, at what is left of the rate limits.
func (r *run) account(ctx context.Context) {
	if r.noConfig(itemPrimary, itemFallback, itemScope, itemStagingKey, itemHeadroom) {
		return
	}
	if len(r.cfg.Providers) == 0 {
		for _, id := range []string{itemPrimary, itemFallback, itemScope, itemStagingKey, itemHeadroom} {
			r.set(id, blocked("add providers: {mistral: {api_key: …}}", "the configuration has no provider"))
		}
		return
	}
	r.set(itemStagingKey, r.stagingKey(ctx))
	var primaries, fallbacks []finding
	for i := range r.cfg.Providers {
		primary, fallback := r.keys(ctx, &r.cfg.Providers[i])
		primaries, fallbacks = append(primaries, primary), append(fallbacks, fallback)
	}
	if ctx.Err() != nil {
		return
	}
	r.set(itemPrimary, worst(primaries))
	r.set(itemFallback, worst(fallbacks))
	r.set(itemScope, r.scope(ctx))
	if ctx.Err() != nil {
		return
	}
	r.set(itemHeadroom, r.headroom(ctx))
}

// worst is the worst of several findings, with the others as evidence.
func worst(all []finding) finding {
	rank := map[Verdict]int{Pass: 0, Blocked: 1, Fail: 2}
	at := 0
	for i := range all {
		if rank[all[i].verdict] > rank[all[at].verdict] {
			at = i
		}
	}
	out := all[at]
	for i := range all {
		if i != at {
			out.evidence = append(out.evidence, all[i].detail)
		}
	}
	return out
}

// keys judges both keys of a provider by the check of the kind credentials.
func (r *run) keys(ctx context.Context, p *config.Provider) (primary, fallback finding) {
	if p.APIKey.IsZero() {
		primary = blocked("add providers."+p.Name+".api_key, by reference", "%s: there is no key", p.Name)
		return primary, primary
	}
	result, err := r.credentials(ctx, p)
	if err != nil && len(result.Measurements) == 0 {
		primary = blocked("give providers."+p.Name+".api_key", "%s: %v", p.Name, err)
		return primary, primary
	}
	primary = judgeKey(&result, p.Name, mistral.KeyPrimary, "api_key")
	switch {
	case !p.FallbackAPIKey.IsZero():
		return primary, judgeFallback(&result, p.Name)
	case !r.o.Production:
		return primary, pass("%s: there is none, and %s needs none", p.Name, r.o.Env)
	}
	return primary, blocked("add providers."+p.Name+".fallback_api_key", "%s: there is no fallback key", p.Name)
}

// measured is what a check measured; of a key, where one is given.
func measured(result *checks.Result, name, key string) (float64, bool) {
	for _, m := range result.Measurements {
		if m.Name == name && (key == "" || m.Attrs["key"] == key) {
			return m.Value, true
		}
	}
	return 0, false
}

func judgeKey(result *checks.Result, provider, key, setting string) finding {
	switch valid, known := measured(result, "probe.key.valid", key); {
	case !known:
		return blocked("look at providers."+provider+"."+setting+" with windsock validate --online", "%s: nobody could judge the %s key: %s", provider, key, result.Summary)
	case valid == 0:
		return fail("put a key that is accepted into providers."+provider+"."+setting, "%s: the %s key is refused (401)", provider, key)
	}
	return pass("%s: the %s key is accepted", provider, key)
}

func judgeFallback(result *checks.Result, provider string) finding {
	f := judgeKey(result, provider, mistral.KeyFallback, "fallback_api_key")
	same, known := measured(result, "probe.key.same", "")
	switch {
	case f.verdict != Pass:
		return f
	case !known:
		return blocked("look at both keys with windsock validate --online", "%s: nobody could compare the two keys", provider)
	case same == 1:
		return fail("put another key into providers."+provider+".fallback_api_key", "%s: the fallback key is the primary one again", provider)
	}
	f.detail += ", and another one"
	return f
}

func (r *run) client(p *config.Provider) (*mistral.Keyed, error) {
	return mistral.NewKeyed(mistral.Options{BaseURL: p.BaseURL, APIKey: p.APIKey, Out: r.network, StallAfter: p.StallAfter}, p.FallbackAPIKey, false)
}

func (r *run) credentials(ctx context.Context, p *config.Provider) (checks.Result, error) {
	client, err := r.client(p)
	if err != nil {
		return checks.Result{}, err
	}
	check, err := credentials.New(credentials.Params{}, checks.Env{Log: slog.New(slog.DiscardHandler), Provider: client, Network: r.network})
	if err != nil {
		return checks.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*askFor)
	defer cancel()
	return check.Run(ctx)
}

// stagingKey compares keys in memory. What is compared is told nobody.
func (r *run) stagingKey(ctx context.Context) finding {
	staging := r.cfg.Preflight.Staging.APIKey
	if staging.IsZero() {
		return blocked("add preflight.staging.api_key, by reference", "nobody says which key staging uses")
	}
	other, err := staging.Reveal(ctx)
	if err != nil {
		return blocked("make preflight.staging.api_key readable for who runs this", "staging's key cannot be read: %v", err)
	}
	compared := 0
	for i := range r.cfg.Providers {
		p := &r.cfg.Providers[i]
		for name, key := range map[string]checks.Secret{"api_key": p.APIKey, "fallback_api_key": p.FallbackAPIKey} {
			if key.IsZero() {
				continue
			}
			mine, err := key.Reveal(ctx)
			if err != nil {
				return blocked("give providers."+p.Name+"."+name, "the %s of %s cannot be read, and so not be compared: %v", name, p.Name, err)
			}
			if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(mine)), []byte(strings.TrimSpace(other))) == 1 {
				return fail("give staging a key of its own", "staging uses the %s of %s", name, p.Name)
			}
			compared++
		}
	}
	if compared == 0 {
		return blocked("give providers.NAME.api_key", "there is no key to compare it with")
	}
	return pass("staging's key is another one")
}

// scope asks every model for a token, through the budget.
func (r *run) scope(ctx context.Context) finding {
	models := r.modelsOf()
	asked := 0
	for _, ids := range models {
		asked += len(ids)
	}
	switch {
	case asked == 0:
		return blocked("add preflight.models", "neither a check nor preflight.models names a model")
	case r.o.Free:
		return blocked("run it without --free", "the models were not asked: that costs a token each")
	case r.o.Running != nil:
		return r.scopeByAgent(ctx, models)
	}
	ready := *r.cfg
	ready.Checks = slices.Clone(r.cfg.Checks)
	var names []string
	for _, provider := range slices.Sorted(maps.Keys(models)) {
		name := "preflight-usable-" + provider
		spec, err := schedule.Parse("@every 24h", "UTC")
		if err != nil {
			return blocked("", "%v", err)
		}
		ids := models[provider][:min(len(models[provider]), mostModel)]
		ready.Checks = append(ready.Checks, config.Check{
			Name: name, Kind: "usable", Provider: provider, Schedule: spec, Timeout: askFor, Overlap: schedule.OverlapSkip, Missed: schedule.MissedSkip,
			With: given[usable.Params]{usable.Params{Models: ids}}, Place: func(err error) error { return err },
		})
		for range ids {
			names = append(names, name)
		}
	}
	var reports []*checks.Report
	err := r.once(ctx, &ready, names, func(report *checks.Report) { reports = append(reports, report) })
	return judgeScope(models, reports, err)
}

// once runs checks through the road, when nobody else of this process does.
func (r *run) once(ctx context.Context, cfg *config.Config, names []string, each func(*checks.Report)) error {
	r.road.Lock()
	defer r.road.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	return r.o.Once(ctx, cfg, names, each)
}

// forTheAgent is how long is waited for a check of the running agent that runs at this moment.
const forTheAgent = 15 * time.Second

// byAgent has the running agent make a run of its own.
func (r *run) byAgent(ctx context.Context, name string) (*checks.Report, error) {
	for by := time.Now().Add(forTheAgent); ; {
		report, err := r.o.Running(ctx, name)
		refused, is := errors.AsType[*agent.RefusedError](err)
		if !is || refused.Status != http.StatusConflict || time.Now().After(by) {
			return report, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(again):
		}
	}
}

// scopeByAgent has the running agent ask: it holds the budget.
func (r *run) scopeByAgent(ctx context.Context, models map[string][]string) finding {
	var reports []*checks.Report
	for i := range r.cfg.Checks {
		c := &r.cfg.Checks[i]
		if c.Kind != "usable" {
			continue
		}
		for range models[c.Provider] {
			report, err := r.byAgent(ctx, c.Name)
			if err != nil {
				return judgeScope(models, reports, err)
			}
			reports = append(reports, report)
		}
	}
	if len(reports) == 0 {
		return blocked("add a check of the kind usable, or run this where no agent runs", "an agent runs and holds the budget, and has no check that asks models")
	}
	return judgeScope(models, reports, nil)
}

// judgeScope counts what was asked now: what a check remembers is no evidence for today.
func judgeScope(models map[string][]string, reports []*checks.Report, err error) finding {
	said := map[string]*checks.Report{} // by provider and model
	for _, report := range reports {
		if id := report.Facts["model"]; id != "" {
			said[report.Provider+"/"+id] = report
		}
	}
	var refused, open, good []string
	for _, provider := range slices.Sorted(maps.Keys(models)) {
		for _, id := range models[provider] {
			report := said[provider+"/"+id]
			switch {
			case report != nil && usableNow(report, id):
				good = append(good, id)
			case report != nil && report.Status == checks.Failed && refusal(report.Cause):
				refused = append(refused, fmt.Sprintf("%s (%s)", id, report.Cause))
			default:
				open = append(open, id+why(report, reports))
			}
		}
	}
	switch {
	case len(refused) > 0:
		return fail(grant(refused), "refuse to answer: %s", strings.Join(refused, ", ")).with(open...)
	case err != nil && !errors.Is(err, context.Canceled):
		return blocked("run windsock check with a check of the kind usable", "the models could not be asked: %v", err).with(open...)
	case len(open) > 0:
		return blocked("look at the evidence, and run it again", "%d of %d models gave no answer that says something", len(open), len(open)+len(good)).with(open...)
	}
	return pass("%s asked, and all answer: %s", many(len(good), "model"), strings.Join(good, ", "))
}

// grant is what to do about models that refuse: nothing of theirs where it is the key that is refused.
func grant(refused []string) string {
	if slices.ContainsFunc(refused, func(text string) bool { return strings.HasSuffix(text, "("+string(checks.CauseAuth)+")") }) {
		return "look at keys.primary first: where the key is refused, every model is"
	}
	return "have the models added to the plan, or take others"
}

// usableNow reports whether the model that was asked answered, whatever others did.
func usableNow(report *checks.Report, id string) bool {
	if report.Status != checks.OK && report.Status != checks.Degraded && (report.Status != checks.Failed || !refusal(report.Cause)) {
		return false
	}
	for _, m := range report.Measurements {
		if m.Name == "probe.llm.model.usable" && m.Attrs["model"] == id {
			return m.Value == 1
		}
	}
	return false
}

func refusal(cause checks.Cause) bool {
	return slices.Contains([]checks.Cause{checks.CauseNoAllowance, checks.CauseForbidden, checks.CauseModelGone, checks.CauseAuth}, cause)
}

// why is what was said instead of an answer, of the model or of the run that should have asked it.
func why(report *checks.Report, reports []*checks.Report) string {
	if report == nil {
		for _, r := range reports {
			if r.Facts["model"] == "" {
				report = r
			}
		}
	}
	if report == nil {
		return ": not asked"
	}
	return fmt.Sprintf(": %s, %s", report.Status, report.Summary)
}

// given is a section of parameters that no file holds.
type given[P any] struct{ params P }

// Decode implements checks.Decoder.
func (g given[P]) Decode(into any) error {
	p, ok := into.(*P)
	if !ok {
		return fmt.Errorf("parameters are read into a %T", into)
	}
	*p = g.params
	return nil
}

// modelsOf lists the models that checks and the configuration name, by provider.
func (r *run) modelsOf() map[string][]string {
	all := map[string][]string{}
	for i := range r.cfg.Checks {
		c := &r.cfg.Checks[i]
		if using, ok := r.built(c).(checks.Modelled); ok {
			all[c.Provider] = append(all[c.Provider], using.ModelsUsed()...)
		}
	}
	if more := r.cfg.Preflight.Models; len(more) > 0 && len(r.cfg.Providers) > 0 {
		first := r.cfg.Providers[0].Name
		all[first] = append(all[first], more...)
	}
	for provider, ids := range all {
		slices.Sort(ids)
		if all[provider] = slices.Compact(ids); len(all[provider]) == 0 {
			delete(all, provider)
		}
	}
	return all
}

// built is a check of the configuration that will not run; nil where it cannot be built.
func (r *run) built(c *config.Check) checks.Check {
	for _, kind := range r.o.Registry.Checks {
		if kind.Name == c.Kind && c.Foreign.Plugin == "" {
			check, err := kind.New(c.With, checks.Env{Log: slog.New(slog.DiscardHandler), Name: c.Name, Timeout: c.Timeout})
			if err == nil {
				return check
			}
		}
	}
	return nil
}

// headroom judges what answers said of the rate limits.
func (r *run) headroom(ctx context.Context) finding {
	const todo = "run windsock check with a check of the kind chat or usable: paid answers tell the limits"
	r.road.Lock()
	view, err := agent.SeenModels(ctx, r.cfg, r.o.Getenv)
	r.road.Unlock()
	if err != nil {
		return blocked("run this as a user who may read the agent's state", "what was seen of the limits cannot be read: %v", err)
	}
	var evidence, bad []string
	for i := range view.Limits {
		w := &view.Limits[i].Window
		age := r.began.Sub(w.At)
		if age > newEnough || w.Key != "" && w.Key != mistral.KeyPrimary {
			continue
		}
		text := fmt.Sprintf("%s: %d of %d %s per %s left", w.Model, w.Remaining, w.Limit, w.Resource, orUnknown(w.Window))
		evidence = append(evidence, text)
		if problem := r.tight(w); problem != "" {
			bad = append(bad, text+", "+problem)
		}
	}
	switch {
	case len(evidence) == 0:
		return blocked(todo, "no answer of the last %s told a rate limit", shortly(newEnough))
	case len(bad) > 0:
		return fail("have the limit raised, or use less", "%s", strings.Join(bad, "; ")).with(evidence...)
	}
	return pass("of %s at least %.0f %% are left", many(len(evidence), "limit"), 100*r.cfg.Preflight.Headroom).with(evidence...)
}

// tight says what is wrong with a limit; "" where it leaves room.
func (r *run) tight(w *headroom.Window) string {
	share, ok := w.Share()
	if !ok {
		return "nothing is allowed"
	}
	if share < r.cfg.Preflight.Headroom {
		return fmt.Sprintf("want %.0f %%", 100*r.cfg.Preflight.Headroom)
	}
	length, known := w.Length()
	load := map[string]int64{"requests": r.cfg.Preflight.Load.Requests, "tokens": r.cfg.Preflight.Load.Tokens}[w.Resource]
	if !known || load == 0 || length > time.Hour {
		return ""
	}
	if wanted := float64(load) * length.Minutes() / (1 - r.cfg.Preflight.Headroom); float64(w.Limit) < wanted {
		return fmt.Sprintf("preflight.load needs a limit of %.0f", wanted)
	}
	return ""
}

func orUnknown(window string) string {
	if window == "" {
		return "window that nobody names"
	}
	return window
}

// shortly writes a duration without zeros: 24h.
func shortly(d time.Duration) string {
	text := d.String()
	if cut, ok := strings.CutSuffix(text, "m0s"); ok {
		text = cut + "m"
	}
	if cut, ok := strings.CutSuffix(text, "h0m"); ok {
		text = cut + "h"
	}
	return text
}
