package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/internal/scan"
)

// sources looks into the target's files.
func (r *run) sources(ctx context.Context) {
	items := []string{itemHardCoded, itemModels, itemMaxTokens, itemTemperature}
	folder, problem := r.folder()
	if problem != nil {
		for _, id := range items {
			r.set(id, *problem)
		}
		return
	}
	seen, err := scan.Dir(ctx, folder, scan.Options{})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		for _, id := range items {
			r.set(id, blocked("make the target readable for who runs this", "the target cannot be looked at: %v", err))
		}
		return
	}
	r.set(itemHardCoded, partly(&seen, hardCoded(&seen)))
	r.set(itemModels, partly(&seen, r.pinned(&seen)))
	calls := slices.DeleteFunc(slices.Clone(seen.Calls), func(c scan.Call) bool { return c.Test })
	r.set(itemMaxTokens, partly(&seen, each(calls, "max_tokens", func(c *scan.Call) scan.Presence {
		if c.API == "embeddings" {
			return scan.Set // there is nothing to bound
		}
		return c.MaxTokens
	})))
	r.set(itemTemperature, partly(&seen, each(calls, "temperature", func(c *scan.Call) scan.Presence {
		if c.API == "embeddings" {
			return scan.Set
		}
		return c.Temperature
	})))
}

// partly keeps what was not seen whole from passing.
func partly(seen *scan.Result, f finding) finding {
	looked := fmt.Sprintf("%s looked at, %d passed over", many(seen.Files, "file"), seen.Skipped)
	var missed []string
	if seen.Truncated != "" {
		missed = append(missed, "the look ended early: "+seen.Truncated)
	}
	for i := range seen.Unreadable {
		missed = append(missed, "not read: "+seen.Unreadable[i].File+": "+seen.Unreadable[i].Why)
		if i == 4 && seen.Unread > 5 {
			missed = append(missed, fmt.Sprintf("and %d more", seen.Unread-5))
			break
		}
	}
	f = f.with(append(missed, looked)...)
	if f.verdict == Pass && (len(missed) > 0 || seen.Files == 0) {
		f.verdict, f.todo = Blocked, "give a smaller target, or make it readable for who runs this"
		f.detail = "not all was seen; of what was: " + f.detail
	}
	return f
}

func place(p scan.Place, what string) Place {
	return Place{File: p.File, Line: p.Line, Column: p.Column, What: what}
}

func hardCoded(seen *scan.Result) finding {
	if len(seen.Secrets) == 0 {
		f := pass("no credential was found")
		if n := len(seen.Allowed); n > 0 {
			f.detail = fmt.Sprintf("no credential was found, but for %d that a comment windsock:allow allows", n)
			for i := range seen.Allowed {
				f.places = append(f.places, place(seen.Allowed[i].Place, "allowed: "+seen.Allowed[i].Why))
			}
		}
		return f
	}
	f := fail("take them out, and out of the history, and rotate them", "found in the sources: %s", many(len(seen.Secrets), "credential"))
	for i := range seen.Secrets {
		f.places = append(f.places, place(seen.Secrets[i].Place, seen.Secrets[i].Kind+": "+seen.Secrets[i].Why))
	}
	return f
}

// pinned judges the names of models, in the sources and in the configuration.
func (r *run) pinned(seen *scan.Result) finding {
	deliberate := slices.Concat(r.cfg.Preflight.Floating, r.aliases())
	named := map[string]bool{}
	var floats []Place
	for i := range seen.Models {
		m := &seen.Models[i]
		if m.Test {
			continue
		}
		named[m.Model] = true
		if m.Floating && !slices.Contains(deliberate, m.Model) {
			floats = append(floats, place(m.Place, m.Model+" can move to another model"))
		}
	}
	for _, id := range r.cfg.Preflight.Models {
		named[id] = true
		if strings.HasSuffix(id, "-latest") && !slices.Contains(deliberate, id) {
			floats = append(floats, Place{File: r.cfg.Path, What: "preflight.models: " + id + " can move to another model"})
		}
	}
	switch {
	case len(named) == 0:
		return blocked("add preflight.models", "neither the sources nor preflight.models name a model")
	case len(floats) == 0:
		return pass("%s named, and none floats but deliberately", many(len(named), "model"))
	}
	f := pass("%s that can move to another model, as they may in %s", many(len(floats), "name"), r.o.Env)
	if r.o.Production {
		f = fail("pin them to a dated id, or add them to preflight.floating", "%s that can move to another model, and nobody says that they may", many(len(floats), "name"))
	}
	f.places = floats
	return f
}

// aliases are the ids that checks of the kind models watch as what moves.
func (r *run) aliases() []string {
	var all []string
	for i := range r.cfg.Checks {
		c := &r.cfg.Checks[i]
		if c.Kind != "models" {
			continue
		}
		params, ok := models.Kind().Defaults.(models.Params)
		if !ok || c.With.Decode(&params) != nil {
			continue
		}
		for id, watch := range params.Watch {
			if watch.Policy == models.PolicyAlias {
				all = append(all, id)
			}
		}
	}
	return all
}

// each judges one parameter of all calls. What cannot be seen is no evidence that it is set.
func each(calls []scan.Call, what string, of func(*scan.Call) scan.Presence) finding {
	var absent, unclear []Place
	chats := 0
	for i := range calls {
		c := &calls[i]
		if c.API != "embeddings" {
			chats++
		}
		switch of(c) {
		case scan.Absent:
			absent = append(absent, place(c.Place, "a call of "+c.API+" without "+what))
		case scan.Unclear:
			unclear = append(unclear, place(c.Place, "a call of "+c.API+" whose "+what+" cannot be seen here"))
		case scan.Set:
		}
	}
	var f finding
	switch {
	case len(absent) > 0:
		f = fail("set it", "%d of %s without %s", len(absent), many(chats, "call"), what)
	case len(unclear) > 0:
		f = blocked("set it where the call is, or have somebody attest it", "of %d of %s nobody can see whether %s is set", len(unclear), many(chats, "call"), what)
	case len(calls) == 0:
		f = blocked("give the folder of the sources with --target", "no call of the provider was found")
	default:
		f = pass("%s, and %s is set on each", many(chats, "call"), what)
	}
	f.places = append(absent, unclear...)
	return f
}
