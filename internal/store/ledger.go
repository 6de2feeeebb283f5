package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	ledgerAge   = 35 * 24 * time.Hour // entries are kept so long
	ledgerYoung = 10_000              // the youngest entries; of more, those before are known to the second only
	markedHours = 49                  // hours of spending that the mark's page tells
	markedDays  = 36                  // and days
)

// Claim is what one paid run may cost at most.
type Claim struct {
	ID       string // the run's
	Check    string
	Provider string
	Model    string // "" where it is not known before the call
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

// claimRow is a line of the ledger.
type claimRow struct {
	Claim
	at                         int64
	hour                       int64  // where the sums have it
	cost                       *int64 // nil while only reserved
	prompt, cached, completion int64
	estimated, unpriced        bool
}

func (r *claimRow) who() who { return who{r.Check, r.Provider, r.Model, r.Trigger} }

// used is what the row adds to the sums.
func (r *claimRow) used() used {
	u := used{runs: 1, cost: r.Amount, reserved: r.Amount, prompt: r.prompt, cached: r.cached, completion: r.completion}
	if r.cost != nil {
		u.cost, u.reserved = checks.PicoUSD(*r.cost), 0
	}
	if r.unpriced {
		u.unpriced = 1
	}
	return u
}

// Ledger is the money's memory. It is safe for concurrent use. It implements checks.SpendingLedger.
//
// A reservation counts in full until it is booked, for ever where the process died in between. A window also counts what
// lies in the future of its end, so that a clock that steps back refills nothing; when the clock steps, the entries step
// with it.
type Ledger struct {
	store *Store

	mu        sync.Mutex // guards what follows
	open      map[string]claimRow
	reserved  line // of open
	booked    line
	hours     map[int64]checks.PicoUSD // both, by hour of the epoch
	days      map[int64]checks.PicoUSD // and by day
	hoursFrom int64                    // hours before it are not in hours any more
	daysFrom  int64
	spending  spending
	dirty     map[string]claimRow
	lumps     []lump // sums that the disk lacks beside the dirty rows
	late      *page  // what lumps came from while no database could be read; nil: nothing
	assumedAt int64  // the hour before this moment counts as spent; 0: it does not
	steps     steps
}

func newLedger(s *Store) *Ledger {
	return &Ledger{
		store: s, open: map[string]claimRow{}, dirty: map[string]claimRow{}, spending: newSpending(),
		hours: map[int64]checks.PicoUSD{}, days: map[int64]checks.PicoUSD{}, steps: newSteps(s.o.clock),
	}
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
	at, denial, held, err := l.hold(c, limits)
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
	if !durable && !l.store.markUnrecorded(at) {
		l.drop(c.ID)
		return Denial{Reason: "the spend ledger cannot be written"}, false, nil
	}
	return Denial{}, true, nil
}

// hold judges and reserves in memory, in one step.
func (l *Ledger) hold(c Claim, limits []Limit) (at time.Time, _ Denial, held bool, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.look()
	if c.At.IsZero() {
		c.At = now
	}
	if _, double := l.open[c.ID]; double {
		return c.At, Denial{}, false, fmt.Errorf("reserving for %q: it has a reservation already", c.ID)
	}
	if denial, denied := l.judge(c, limits); denied {
		return c.At, denial, false, nil
	}
	c.Amount = l.fit(c.Amount)
	row := claimRow{Claim: c, at: c.At.UnixMicro()}
	row.hour = hourOf(row.at)
	l.open[c.ID], l.dirty[c.ID] = row, row
	l.reserved.insert(spend{row.at, c.Amount})
	l.count(row.at, c.Amount)
	l.spending.add(row.hour, row.who(), row.used())
	return c.At, Denial{}, true, nil
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
	return l.booked.since(moment) + l.reserved.since(moment)
}

// fit is the part of an amount that the sums can take.
func (l *Ledger) fit(amount checks.PicoUSD) checks.PicoUSD {
	return max(0, min(amount, mostMoney-l.booked.total()-l.reserved.total()))
}

// count adds to the totals that the mark's page tells.
func (l *Ledger) count(at int64, amount checks.PicoUSD) {
	if hour := hourOf(at); hour >= l.hoursFrom {
		l.hours[hour] += amount
	}
	if day := dayOf(at); day >= l.daysFrom {
		l.days[day] += amount
	}
}

// Book replaces a reservation by the real cost, the larger one too; nil usage is nothing billed. A cost without a
// reservation is counted all the same, and is an error of the caller. A cost within its reservation is on disk with the
// next transaction, for until then the worst case counts; a larger one is before Book returns.
func (l *Ledger) Book(ctx context.Context, id string, u *checks.Usage) error {
	if u == nil {
		u = &checks.Usage{PriceKnown: true}
	}
	if u.Cost < 0 {
		return fmt.Errorf("booking %s for %q: a cost is at least 0", u.Cost, id)
	}
	within, unknown := l.book(id, u)
	if within && l.store.healthy() && !l.store.isClosed() {
		return nil
	}
	durable, err := l.store.persist(ctx)
	if err == nil && !durable && !l.store.markUnrecorded(l.now()) {
		err = fmt.Errorf("booking %s for %q in memory only: the spend ledger cannot be written", u.Cost, id)
	}
	return errors.Join(unknown, err)
}

// book books in memory. within reports whether the cost was reserved.
func (l *Ledger) book(id string, u *checks.Usage) (within bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row, known := l.open[id]
	if known {
		delete(l.open, id)
		l.reserved.remove(spend{row.at, row.Amount})
		l.count(row.at, -row.Amount)
		l.spending.add(row.hour, row.who(), used{}.minus(row.used()))
	} else {
		if u.Cost == 0 {
			return false, fmt.Errorf("booking for %q: there is no reservation", id)
		}
		row = claimRow{Claim: Claim{ID: id}, at: l.look().UnixMicro()}
		row.hour = hourOf(row.at)
	}
	row.consumed(u, l.fit(u.Cost))
	l.booked.insert(spend{row.at, checks.PicoUSD(*row.cost)})
	l.count(row.at, checks.PicoUSD(*row.cost))
	l.spending.add(row.hour, row.who(), row.used())
	l.dirty[id] = row
	if !known {
		return false, fmt.Errorf("booking %s for %q: there is no reservation; the cost counts", u.Cost, id)
	}
	return u.Cost <= row.Amount, nil
}

// consumed puts what a run used into its row.
func (r *claimRow) consumed(u *checks.Usage, cost checks.PicoUSD) {
	paid := int64(cost)
	r.cost = &paid
	if u.Model != "" {
		r.Model = u.Model
	}
	r.prompt, r.cached, r.completion = sane(u.PromptTokens), sane(u.CachedTokens), sane(u.CompletionTokens)
	r.estimated, r.unpriced = u.Estimated, !u.PriceKnown
}

func sane(tokens int64) int64 { return max(0, min(tokens, mostTokens)) }

// owes reports whether the disk lacks something.
func (l *Ledger) owes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dirty) > 0 || len(l.lumps) > 0 || l.steps.sum != l.steps.onDisk
}

// drop takes a reservation back for which no call was made.
func (l *Ledger) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := l.open[id]
	delete(l.open, id)
	delete(l.dirty, id)
	l.reserved.remove(spend{row.at, row.Amount})
	l.count(row.at, -row.Amount)
	l.spending.add(row.hour, row.who(), used{}.minus(row.used()))
}

// Spent is what was spent and reserved from since to before until.
func (l *Ledger) Spent(_ context.Context, since, until time.Time) (checks.PicoUSD, error) {
	from, to := since.UnixMicro(), until.Add(time.Microsecond-1).UnixMicro() // entries know microseconds
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since(from-1) - l.since(to-1), nil
}

func hourOf(at int64) int64 { return at / hourLong }
func dayOf(at int64) int64  { return at / (24 * hourLong) }

func (l *Ledger) assumed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.assumedAt
}

// owed is what the disk does not have.
type owed struct {
	rows  []claimRow
	lumps []lump
	shift int64 // what the entries of the disk are to be moved by, before all else
	at    int64 // the sum of all shifts after it
}

// take hands over what the disk does not have.
func (l *Ledger) take() owed {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := owed{rows: slices.Collect(maps.Values(l.dirty)), lumps: l.lumps, shift: l.steps.sum - l.steps.onDisk, at: l.steps.sum}
	l.dirty, l.lumps = map[string]claimRow{}, nil
	return o
}

// giveBack marks rows as dirty again, where nothing newer is.
func (l *Ledger) giveBack(o owed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := l.steps.sum - o.at
	for _, row := range o.rows {
		if _, newer := l.dirty[row.ID]; !newer {
			row.at += moved
			l.dirty[row.ID] = row
		}
	}
	for _, row := range o.lumps {
		row.until += moved
		l.lumps = append(l.lumps, row)
	}
}

// written is told after the disk has what was taken.
func (l *Ledger) written(o owed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps.onDisk = o.at
}
