package pipeline

import (
	"maps"

	"github.com/windsock-monitor/windsock/checks"
)

// scrub takes the secrets that the agent knows out of all words of a result: what a target says may hold the key of
// another. What a check shares between its runs is left as it is.
func (p *Pipeline) scrub(r checks.Result) checks.Result {
	if p.o.Scrub == nil {
		return r
	}
	r.Summary = p.o.Scrub(r.Summary)
	for i, step := range r.Evidence {
		if clean := p.o.Scrub(step.Detail); clean != step.Detail {
			r.Evidence = append([]checks.Step(nil), r.Evidence...)
			r.Evidence[i].Detail = clean
		}
	}
	for i, m := range r.Measurements {
		r.Measurements[i].Attrs = p.scrubMap(m.Attrs)
	}
	r.Facts = p.scrubMap(r.Facts)
	return r
}

// scrubMap is words without secrets, or words itself where there were none.
func (p *Pipeline) scrubMap(words map[string]string) map[string]string {
	out, own := words, false
	for key, value := range words {
		cleanKey, clean := p.o.Scrub(key), p.o.Scrub(value)
		if cleanKey == key && clean == value {
			continue
		}
		if !own {
			out, own = maps.Clone(words), true
		}
		delete(out, key)
		out[cleanKey] = clean
	}
	return out
}
