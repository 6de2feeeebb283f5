package store

import (
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	rawAge   = 49 * time.Hour // rows older than that are merged by the hour
	rawLeast = 2              // hours that never are
	mostRaw  = 250_000        // rows; of more, the oldest are merged sooner
)

// lump is money that is known by its sum only: of an hour, or what the database lacked.
type lump struct {
	until int64 // not later than this
	who   who
	used  used
}

// trim keeps the totals that have room in the mark's page.
func (l *Ledger) trim() {
	l.hoursFrom = max(l.hoursFrom, trimTo(l.hours, markedHours))
	l.daysFrom = max(l.daysFrom, trimTo(l.days, markedDays))
}

// trimTo keeps the newest totals; where it dropped some, it returns the first that it kept.
func trimTo(totals map[int64]checks.PicoUSD, most int) int64 {
	if len(totals) <= most {
		return 0
	}
	all := slices.Sorted(maps.Keys(totals))
	first := len(all) - most
	for _, key := range all[:first] {
		delete(totals, key)
	}
	return all[first]
}

// adopt adds what a database holds. A reservation that was never booked stays what it is: the worst case.
func (l *Ledger) adopt(k *loaded) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shift := l.steps.align(k.shifted, k.knowsShift)
	for i := range k.spends {
		k.spends[i].at += shift
	}
	late := l.late
	if late != nil { // the page stood in for the database until now
		for _, row := range l.lumps {
			l.booked.remove(spend{row.until, row.used.cost})
			l.spending.add(hourOf(row.until), row.who, used{}.minus(row.used))
		}
		l.lumps, l.late = nil, nil
	}
	room := mostMoney - l.booked.total() - l.reserved.total()
	for i := range k.spends {
		k.spends[i].amount = max(0, min(k.spends[i].amount, room))
		room -= k.spends[i].amount
	}
	l.booked.replace(slices.Concat(l.booked.spends, k.spends))
	l.recount()
	k.spending.shift(wholeHours(shift))
	for hour, cells := range k.spending.hours {
		for _, c := range cells {
			l.spending.add(hour, k.spending.names[c.who], c.used)
		}
	}
	if late != nil {
		l.reconcile(late, k.spends)
	}
	k.spends, k.spending = nil, spending{}
}

// reconcile adds what only the mark's page knows of, because the database could not be written, was lost, or forgot its
// last moments with the power: the difference to the database's entries, at the end of its hour or day.
func (l *Ledger) reconcile(p *page, entries []spend) {
	hours, days := map[int64]checks.PicoUSD{}, map[int64]checks.PicoUSD{}
	for _, s := range entries {
		hours[hourOf(s.at)] += s.amount
		days[dayOf(s.at)] += s.amount
	}
	for _, hour := range slices.Sorted(maps.Keys(p.Hours)) {
		days[hour/24] += l.lack((hour+1)*hourLong-1, p.Hours[hour]-hours[hour])
	}
	for _, day := range slices.Sorted(maps.Keys(p.Days)) {
		l.lack((day+1)*24*hourLong-1, p.Days[day]-days[day])
	}
}

// lack adds an amount that the database lacks.
func (l *Ledger) lack(until int64, missing checks.PicoUSD) checks.PicoUSD {
	missing = l.fit(missing)
	if missing == 0 {
		return 0
	}
	row := lump{until: until, used: used{cost: missing, reserved: missing}}
	l.booked.insert(spend{row.until, missing})
	l.count(row.until, missing)
	l.spending.add(hourOf(row.until), row.who, row.used)
	l.lumps = append(l.lumps, row)
	return missing
}

// dirtyAll has the whole ledger written to a new file: what is reserved by its run, all else by the hour.
func (l *Ledger) dirtyAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty, l.lumps = maps.Clone(l.open), nil
	l.steps.onDisk = l.steps.sum
	sums := map[int64]checks.PicoUSD{}
	for _, s := range l.booked.spends {
		sums[hourOf(s.at)] += s.amount
	}
	inFlight := map[int64]map[who]used{}
	for _, row := range l.open {
		if inFlight[row.hour] == nil {
			inFlight[row.hour] = map[who]used{}
		}
		inFlight[row.hour][row.who()] = inFlight[row.hour][row.who()].plus(row.used())
	}
	for hour := range l.spending.hours {
		sums[hour] += 0
	}
	for hour, left := range sums {
		until := l.booked.newestUpTo((hour+1)*hourLong - 1)
		if hourOf(until) != hour {
			until = (hour+1)*hourLong - 1
		}
		until = (until/minuteLong+1)*minuteLong - 1 // as all that is known by its sum
		l.lumps = append(l.lumps, l.carried(hour, until, left, inFlight[hour])...)
	}
}

// carried are the lumps of one hour. What they cost is what the entries say, whatever the sums do.
func (l *Ledger) carried(hour, until int64, left checks.PicoUSD, inFlight map[who]used) []lump {
	var rows []lump
	for _, c := range l.spending.hours[hour] {
		w := l.spending.names[c.who]
		u := c.used.minus(inFlight[w])
		u.cost = max(0, min(u.cost, left))
		u.reserved = max(0, min(u.reserved, u.cost))
		left -= u.cost
		if u != (used{}) {
			rows = append(rows, lump{until, w, u})
		}
	}
	if left > 0 {
		rows = append(rows, lump{until: until, used: used{cost: left, reserved: left}})
	}
	return rows
}

// tidied is what the database has to follow.
type tidied struct {
	now        time.Time
	rollBefore int64 // rows before this moment are to be rolled up
	shifted    int64 // what the entries had been moved by, so that both moments mean something
}

// followed reports whether the entries of the database stand where they stood then.
func (l *Ledger) followed(t tidied) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.steps.onDisk == t.shifted
}

// tidy forgets what no window reaches, merges what is rolled up by the hour, and all but the youngest of the rest by the
// second, and brings what lies in the future to now, so that it leaves the windows one day. A merged entry has the time of
// its latest part, or later, so that nothing leaves a window early.
func (l *Ledger) tidy(now time.Time) tidied {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	moment := now.UnixMicro()
	oldest := moment - ledgerAge.Microseconds()
	rollBefore := l.rollBefore(moment)
	l.booked.replace(merged(l.booked.spends, oldest, moment, rollBefore))
	for id, row := range l.open {
		row.at, row.hour = min(row.at, moment), min(row.hour, hourOf(moment))
		l.open[id] = row
	}
	l.renewReserved()
	for id, row := range l.dirty {
		row.at = min(row.at, moment)
		l.dirty[id] = row
	}
	for i := range l.lumps {
		l.lumps[i].until = min(l.lumps[i].until, moment)
	}
	l.assumedAt = min(l.assumedAt, moment)
	for hour := range l.spending.hours {
		if hour > hourOf(moment) {
			l.spending.move(hour, hourOf(moment))
		}
	}
	l.spending.forget(hourOf(oldest), hourOf(moment))
	l.recount()
	l.trim()
	return tidied{now, rollBefore, l.steps.sum}
}

// merged is tidy for the entries.
func merged(spends []spend, oldest, moment, rollBefore int64) []spend {
	kept := spends[:0]
	young := len(spends) - ledgerYoung
	for i, s := range spends {
		if s.at < oldest {
			continue
		}
		s.at = min(s.at, moment)
		span := int64(1)
		switch {
		case s.at < rollBefore && s.at%minuteLong != minuteLong-1: // else it is rolled up already
			s.at = (hourOf(s.at)+1)*hourLong - 1
		case i < young && s.at >= rollBefore:
			span = time.Second.Microseconds()
		}
		if n := len(kept); n > 0 && kept[n-1].at/span == s.at/span {
			kept[n-1].amount += s.amount
			kept[n-1].at = s.at
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// renewReserved brings the reservations in line with those that are open.
func (l *Ledger) renewReserved() {
	spends := l.reserved.spends[:0]
	for _, row := range l.open {
		spends = append(spends, spend{row.at, row.Amount})
	}
	l.reserved.replace(spends)
}

// rollBefore is the beginning of the oldest hour whose rows the database keeps one by one.
func (l *Ledger) rollBefore(moment int64) int64 {
	first := hourOf(moment - rawAge.Microseconds())
	runs := int64(0)
	for hour := hourOf(moment); hour > first; hour-- {
		for _, c := range l.spending.hours[hour] {
			runs += c.used.runs
		}
		if runs > mostRaw && hour <= hourOf(moment)-rawLeast {
			first = hour + 1
		}
	}
	return first * hourLong
}

// settle has reservations before a moment stand for good: their rows are about to lose their names. It reports whether the
// database knows all rows of that time.
func (l *Ledger) settle(before int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, row := range l.dirty {
		if row.at < before {
			return false
		}
	}
	settled := false
	for id, row := range l.open {
		if row.at < before {
			delete(l.open, id)
			l.booked.insert(spend{row.at, row.Amount})
			settled = true
		}
	}
	if settled {
		l.renewReserved()
	}
	return true
}

// settleMoney decides at the start whether the ledger can be trusted: p is the mark's page of the process before.
func (s *Store) settleMoney(now time.Time, p page, marked bool) {
	l, known := s.ledger, s.known
	if known == nil {
		known = &loaded{}
	}
	booted := differs(p.BootID, s.o.BootID) || differs(known.bootID, s.o.BootID)
	unrecorded := p.UnrecordedSince != 0
	unsure := !marked && (known.salvaged || s.blind || known.instance != "") // the page knows the last reservations first
	l.mu.Lock()
	l.reconcile(&p, l.booked.spends)
	if s.known == nil {
		l.late = &p
	}
	l.assumedAt = max(p.AssumedAt, known.assumedAt)
	l.look()
	if booted || unrecorded || unsure {
		l.assumedAt = now.UnixMicro()
	}
	l.spending.forget(hourOf(now.Add(-ledgerAge).UnixMicro()), hourOf(now.UnixMicro()))
	l.trim()
	l.mu.Unlock()
	if booted || unrecorded || unsure {
		s.log.Warn("the last hour counts as spent", "host_restarted", booted, "unrecorded", unrecorded, "ledger_lost", unsure)
	}
}

// assumeAfterBlindness is settleMoney for a database that could only be read later.
func (s *Store) assumeAfterBlindness(k *loaded) {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.assumedAt = max(l.assumedAt, k.assumedAt)
	if differs(k.bootID, s.o.BootID) {
		l.assumedAt = max(l.assumedAt, l.look().UnixMicro())
	}
}

func differs(then, now string) bool { return then != "" && now != "" && then != now }

// markUnrecorded says in the mark's page, durably, that the database lacks spending; false where that fails too.
func (s *Store) markUnrecorded(at time.Time) bool {
	err := s.writeMark(func(p *page) {
		if p.UnrecordedSince == 0 {
			p.UnrecordedSince = at.UnixMicro()
		}
	})
	return err == nil && s.mark.sync() == nil
}
