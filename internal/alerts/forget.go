package alerts

import (
	"slices"
	"time"
)

const (
	forgetEvery = time.Hour
	forgetAfter = 7 * 24 * time.Hour
)

// forget drops groups without an alert that have had no sample for so long that none of their windows is worth keeping.
func (e *Engine) forget(at int64) {
	e.forgetAt = at + int64(forgetEvery)
	old := at - int64(max(forgetAfter, 2*e.Since()))
	if old < e.began {
		return // nothing is so old yet
	}
	drop := make(map[*instance]bool)
	for _, inst := range e.instances {
		if inst.state == inactive && inst.program.rule.AbsentAfter.IsZero() && inst.newest() < old {
			drop[inst] = true
			delete(inst.program.groups, groupKey(inst.group))
		}
	}
	if len(drop) == 0 {
		return
	}
	dropped := func(inst *instance) bool { return drop[inst] }
	e.instances = slices.DeleteFunc(e.instances, dropped)
	for _, t := range e.order {
		t.instances = slices.DeleteFunc(t.instances, dropped)
		for l, windows := range t.windows {
			t.windows[l] = slices.DeleteFunc(windows, func(w *window) bool { return drop[w.group] })
		}
	}
}

// newest is when the group had its last sample.
func (inst *instance) newest() int64 {
	newest := int64(0)
	see := func(w *window) {
		if w != nil && w.len() > 0 {
			newest = max(newest, w.all[len(w.all)-1].at)
		}
	}
	for i := range inst.cells {
		see(inst.cells[i].one)
		for _, w := range inst.cells[i].order {
			see(w)
		}
	}
	return newest
}
