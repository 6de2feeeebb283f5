package store

import (
	"context"
	"maps"
	"path/filepath"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
)

// mark compares the money of the mark's page with the ledger's. The page is written after the database, or before it where
// money is reserved: it may know more, and what it knows more counts as spent. It must not know less.
func (in *inspector) mark(ctx context.Context) error {
	if in.dir == "" {
		return nil
	}
	m := mark{path: filepath.Join(in.dir, markName)}
	p, ok := m.load()
	switch {
	case ok:
	case sizeOf(m.path) < 0:
		in.Mark = MarkMissing
		in.note("there is no windsock.mark: when the agent starts the last hour counts as spent")
		return nil
	default:
		in.Mark = MarkBroken
		in.trouble(markName, "it does not hold what the agent wrote", "start the agent: it makes a new one, and the last hour counts as spent")
		return nil
	}
	l := &loaded{spending: newSpending()}
	if err := l.loadMeta(ctx, in.db); err != nil {
		return err
	}
	if err := l.loadLedger(ctx, in.db); err != nil {
		return err
	}
	in.Mark = MarkAgrees
	if p.Clean && p.Position > in.Position {
		in.note("windsock.mark knows %d positions that the database does not: the database is older, a backup perhaps", p.Position-in.Position)
	}
	if l.knowsShift && l.shifted == p.Shifted { // else the entries are about to be moved
		in.compare(&p, l.spends)
	}
	return nil
}

// compare looks at the hours that the page has room for.
func (in *inspector) compare(p *page, entries []spend) {
	ledger := map[int64]checks.PicoUSD{}
	for _, s := range entries {
		ledger[hourOf(s.at)] += s.amount
	}
	hours := slices.Sorted(maps.Keys(p.Hours))
	if len(hours) == 0 {
		return
	}
	var more, less checks.PicoUSD
	for hour := hours[0]; hour <= hours[len(hours)-1]; hour++ {
		switch diff := p.Hours[hour] - ledger[hour]; {
		case diff > 0:
			more += diff
		case diff < 0:
			less -= diff
		}
	}
	switch {
	case less > 0:
		in.Mark = MarkBehind
		in.trouble(markName, "it knows "+less.String()+" less than the ledger of its hours: it is older than the database",
			"start the agent, which writes a new one; never put an old windsock.mark beside a newer database")
	case more > 0:
		in.Mark = MarkAhead
		in.note("windsock.mark knows %s that the ledger does not have yet; it counts as spent", more)
	}
}
