package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	ledgerAge   = 35 * 24 * time.Hour // entries are kept so long
	ledgerExact = 25 * time.Hour      // older entries are known to the minute only
	ledgerYoung = 10_000              // the youngest entries; of more, those before are known to the second only
	markedHours = 49                  // hours of spending that the mark's page tells
)

// Claim is what one paid run may cost at most.
type Claim struct {
	ID       string // the run's
	Check    string
	Provider string
	Model    string
	Trigger  checks.Trigger
	Amount   checks.PicoUSD
	At       time.Time // zero is now
}

// Limit is the most that may be spent in any window of that length.
type Limit struct {
	Window time.Duration
	Name   string // "per_hour"
	Amount checks.PicoUSD
}

// Denial says why a claim was not reserved.
type Denial struct {
	Limit  Limit          // zero where no limit was the reason
	Spent  checks.PicoUSD // in its window, reservations included
	Reason string
}

// spend is money in a moment.
type spend struct {
	at     int64
	amount checks.PicoUSD
}

// claimRow is a line of the ledger.
type claimRow struct {
	Claim
	at   int64
	cost *int64 // nil while only reserved
}

// Ledger is the money's memory. It is safe for concurrent use. It implements checks.Ledger.
//
// A reservation counts in full until it is booked, for ever where the process died in between. A window also counts what
// lies in the future of its end, so that a clock that steps back refills nothing.
type Ledger struct {
	store *Store

	mu        sync.Mutex // guards what follows
	open      map[string]claimRow
	booked    []spend                  // by time
	sums      []checks.PicoUSD         // of booked, each with all before it
	hours     map[int64]checks.PicoUSD // both, by hour of the epoch
	dirty     map[string]claimRow
	assumedAt int64 // the hour before this moment counts as spent; 0: it does not
}

// Ledger is the money's memory.
func (s *Store) Ledger() *Ledger { return s.ledger }

// Reserve checks every limit with the claim added to what was spent and reserved in its window, and reserves the claim
// where it fits. It is atomic, and durable before it returns true: its amount in the mark's page, which outlives the process
// as a transaction does and costs a tenth of it, and its row with the next transaction. Where the page cannot be written the
// database is, and where neither can be the claim is denied.
func (l *Ledger) Reserve(ctx context.Context, c Claim, limits []Limit) (Denial, bool, error) {
	if c.ID == "" || c.Amount < 0 {
		return Denial{}, false, fmt.Errorf("reserving %s for %q: a claim has an id and an amount of at least 0", c.Amount, c.ID)
	}
	if err := ctx.Err(); err != nil {
		return Denial{}, false, fmt.Errorf("reserving for %q: %w", c.ID, err)
	}
	if c.At.IsZero() {
		c.At = time.Now()
	}
	denial, held, err := l.hold(c, limits)
	if !held || err != nil {
		return denial, false, err
	}
	if l.store.healthy() && l.store.writeMark(nil) == nil {
		return Denial{}, true, nil
	}
	durable, err := l.store.persist(ctx)
	if err != nil {
		l.drop(c.ID)
		return Denial{}, false, fmt.Errorf("reserving for %q: %w", c.ID, err)
	}
	if !durable && !l.store.markUnrecorded(c.At) {
		l.drop(c.ID)
		return Denial{Reason: "the spend ledger cannot be written"}, false, nil
	}
	return Denial{}, true, nil
}

// hold judges and reserves in memory, in one step.
func (l *Ledger) hold(c Claim, limits []Limit) (Denial, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, double := l.open[c.ID]; double {
		return Denial{}, false, fmt.Errorf("reserving for %q: it has a reservation already", c.ID)
	}
	if denial, denied := l.judge(c, limits); denied {
		return denial, false, nil
	}
	at := c.At.UnixMicro()
	l.open[c.ID] = claimRow{Claim: c, at: at}
	l.hours[hourOf(at)] += c.Amount
	l.dirty[c.ID] = l.open[c.ID]
	return Denial{}, true, nil
}

func (l *Ledger) judge(c Claim, limits []Limit) (Denial, bool) {
	now := c.At.UnixMicro()
	for _, limit := range limits {
		spent := l.since(now - limit.Window.Microseconds())
		assumed := l.assumption(now, limit, limits)
		if spent+assumed <= limit.Amount-c.Amount {
			continue
		}
		reason := fmt.Sprintf("%s: %s of %s is spent or reserved, and the run may cost %s", limit.Name, spent, limit.Amount, c.Amount)
		if assumed > 0 {
			reason += fmt.Sprintf("; %s counts as spent because the ledger may lack the hour before %s",
				assumed, fromMicros(l.assumedAt).Format(time.RFC3339))
		}
		return Denial{Limit: limit, Spent: spent + assumed, Reason: reason}, true
	}
	return Denial{}, false
}

// assumption is what counts as spent on top of the ledger, after the host restarted or spending went unrecorded: in the
// hour before, the hourly limit. Where there is no hourly limit, the limit itself, for an hour.
func (l *Ledger) assumption(now int64, limit Limit, limits []Limit) checks.PicoUSD {
	if l.assumedAt == 0 {
		return 0
	}
	amount, span := limit.Amount, min(limit.Window, time.Hour)
	for _, other := range limits {
		if limit.Window > time.Hour && other.Window <= time.Hour {
			amount, span = min(amount, other.Amount), limit.Window
		}
	}
	if now >= l.assumedAt+span.Microseconds() {
		return 0
	}
	return amount
}

// since adds up everything later than the moment, what lies in the future included.
func (l *Ledger) since(moment int64) checks.PicoUSD {
	sum := l.until(len(l.booked)) - l.until(l.place(moment))
	for _, row := range l.open {
		if row.at > moment {
			sum += row.Amount
		}
	}
	return sum
}

// Book replaces a reservation by the real cost, the larger one too; nil usage is nothing billed. A cost without a
// reservation is counted all the same, and is an error of the caller. A cost within its reservation is on disk with the
// next transaction, for until then the worst case counts; a larger one is before Book returns.
func (l *Ledger) Book(ctx context.Context, id string, u *checks.Usage) error {
	cost := checks.PicoUSD(0)
	if u != nil {
		cost = u.Cost
	}
	if cost < 0 {
		return fmt.Errorf("booking %s for %q: a cost is at least 0", cost, id)
	}
	within, unknown := l.book(id, cost, u)
	if within && l.store.healthy() && !l.store.isClosed() {
		return nil
	}
	durable, err := l.store.persist(ctx)
	if err == nil && !durable && !l.store.markUnrecorded(time.Now()) {
		err = fmt.Errorf("booking %s for %q in memory only: the spend ledger cannot be written", cost, id)
	}
	return errors.Join(unknown, err)
}

// book books in memory. within reports whether the cost was reserved.
func (l *Ledger) book(id string, cost checks.PicoUSD, u *checks.Usage) (within bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row, known := l.open[id]
	if !known {
		if cost == 0 {
			return false, fmt.Errorf("booking for %q: there is no reservation", id)
		}
		row = claimRow{Claim: Claim{ID: id, Model: u.Model}, at: time.Now().UnixMicro()}
	}
	delete(l.open, id)
	l.insert(spend{row.at, cost})
	l.hours[hourOf(row.at)] += cost - row.Amount
	paid := int64(cost)
	row.cost = &paid
	l.dirty[id] = row
	if !known {
		return false, fmt.Errorf("booking %s for %q: there is no reservation; the cost counts", cost, id)
	}
	return cost <= row.Amount, nil
}

// owes reports whether the disk lacks something.
func (l *Ledger) owes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dirty) > 0
}

// place is how many entries are not later than a moment.
func (l *Ledger) place(moment int64) int {
	return sort.Search(len(l.booked), func(i int) bool { return l.booked[i].at > moment })
}

// until is the sum of the first n entries.
func (l *Ledger) until(n int) checks.PicoUSD {
	if n == 0 {
		return 0
	}
	return l.sums[n-1]
}

// insert keeps the order. Runs end about in the order in which they began, so little has to move.
func (l *Ledger) insert(s spend) {
	i := l.place(s.at)
	l.booked = slices.Insert(l.booked, i, s)
	l.addUp(i)
}

// addUp brings the sums in line with the entries from i on.
func (l *Ledger) addUp(i int) {
	sum := l.until(i)
	l.sums = l.sums[:i]
	for _, s := range l.booked[i:] {
		sum += s.amount
		l.sums = append(l.sums, sum)
	}
}

// drop takes a reservation back for which no call was made.
func (l *Ledger) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := l.open[id]
	delete(l.open, id)
	delete(l.dirty, id)
	l.hours[hourOf(row.at)] -= row.Amount
}

// Spent is what was spent and reserved from since to before until.
func (l *Ledger) Spent(_ context.Context, since, until time.Time) (checks.PicoUSD, error) {
	from, to := since.UnixMicro(), until.Add(time.Microsecond-1).UnixMicro() // entries know microseconds
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since(from-1) - l.since(to-1), nil
}

// totals are the hours that the mark's page tells, and the moment of the assumption.
func (l *Ledger) totals() (map[int64]checks.PicoUSD, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.hours) > markedHours {
		hours := slices.Sorted(maps.Keys(l.hours))
		for _, hour := range hours[:len(hours)-markedHours] {
			delete(l.hours, hour)
		}
	}
	return maps.Clone(l.hours), l.assumedAt
}

func hourOf(at int64) int64 { return at / time.Hour.Microseconds() }

func (l *Ledger) assumed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.assumedAt
}

// take hands over what the disk does not have.
func (l *Ledger) take() []claimRow {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := slices.Collect(maps.Values(l.dirty))
	l.dirty = map[string]claimRow{}
	return rows
}

// giveBack marks rows as dirty again, where nothing newer is.
func (l *Ledger) giveBack(rows []claimRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, row := range rows {
		if _, newer := l.dirty[row.ID]; !newer {
			l.dirty[row.ID] = row
		}
	}
}

// adopt adds what a database holds. A reservation that was never booked stays what it is: the worst case.
func (l *Ledger) adopt(spends []spend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range spends {
		l.booked = append(l.booked, s)
		l.hours[hourOf(s.at)] += s.amount
	}
	slices.SortStableFunc(l.booked, bySpendTime)
	l.addUp(0)
}

func bySpendTime(a, b spend) int {
	switch {
	case a.at < b.at:
		return -1
	case a.at > b.at:
		return 1
	}
	return 0
}

// reconcile adds what only the mark's page knows of, because the database could not be written, was lost, or forgot its
// last moments with the power: the difference, at the end of its hour.
func (l *Ledger) reconcile(hours map[int64]checks.PicoUSD) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for hour, total := range hours {
		missing := total - l.hours[hour]
		if missing <= 0 {
			continue
		}
		at := (hour+1)*time.Hour.Microseconds() - 1
		l.insert(spend{at, missing})
		l.hours[hour] += missing
		id := fmt.Sprintf("unrecorded/%d/%d", hour, time.Now().UnixNano())
		cost := int64(missing)
		l.dirty[id] = claimRow{Claim: Claim{ID: id, Amount: missing}, at: at, cost: &cost}
	}
}

// dirtyAll has the whole ledger written to a new file: what is booked without its names, which only the old file knew.
func (l *Ledger) dirtyAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty = maps.Clone(l.open)
	run := time.Now().UnixNano()
	for i, s := range l.booked {
		id := fmt.Sprintf("carried/%d/%d", run, i)
		cost := int64(s.amount)
		l.dirty[id] = claimRow{Claim: Claim{ID: id, Amount: s.amount}, at: s.at, cost: &cost}
	}
}

// tidy forgets what no window reaches, merges old entries by the minute, all but the youngest by the second, and brings what
// lies in the future (the clock stepped back) to now, so that it leaves the windows one day. A merged entry has the time of
// its latest part, so that nothing leaves a window early.
func (l *Ledger) tidy(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.booked[:0]
	moment := now.UnixMicro()
	young := len(l.booked) - ledgerYoung
	for i, s := range l.booked {
		if moment-s.at > ledgerAge.Microseconds() {
			continue
		}
		s.at = l.pull(s.at, moment, s.amount)
		span := int64(1)
		switch {
		case moment-s.at > ledgerExact.Microseconds():
			span = time.Minute.Microseconds()
		case i < young:
			span = time.Second.Microseconds()
		}
		if n := len(kept); span > 1 && n > 0 && kept[n-1].at/span == s.at/span {
			kept[n-1].amount += s.amount
			kept[n-1].at = s.at
			continue
		}
		kept = append(kept, s)
	}
	l.booked = kept
	l.addUp(0)
	for id, row := range l.open {
		row.at = l.pull(row.at, moment, row.Amount)
		l.open[id] = row
	}
	for id, row := range l.dirty {
		row.at = min(row.at, moment)
		l.dirty[id] = row
	}
	l.assumedAt = min(l.assumedAt, moment)
}

// pull brings an amount from the future to the moment.
func (l *Ledger) pull(at, moment int64, amount checks.PicoUSD) int64 {
	if at <= moment {
		return at
	}
	l.hours[hourOf(at)] -= amount
	l.hours[hourOf(moment)] += amount
	return moment
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
	l.reconcile(p.Hours)
	l.mu.Lock()
	l.assumedAt = max(p.AssumedAt, known.assumedAt)
	if booted || unrecorded || unsure {
		l.assumedAt = now.UnixMicro()
	}
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
		l.assumedAt = max(l.assumedAt, time.Now().UnixMicro())
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
