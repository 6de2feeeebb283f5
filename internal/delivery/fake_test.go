package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// memory is a queue with the store's promises.
type memory struct {
	mu        sync.Mutex // guards all
	entries   []delivery.Entry
	last      delivery.Position
	cursors   map[string]delivery.Cursor
	totals    map[string]*delivery.Counts
	changed   chan struct{}
	dropped   []delivery.Position
	commitErr error
	readErr   error
	committed func() // told of each
}

func newMemory() *memory {
	return &memory{cursors: map[string]delivery.Cursor{}, totals: map[string]*delivery.Counts{}, changed: make(chan struct{})}
}

// add appends n records of now.
func (m *memory) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		m.last++
		id := fmt.Sprintf("r%05d", m.last)
		m.entries = append(m.entries, delivery.Entry{Pos: m.last, Record: checks.Record{ID: id, At: time.Now()}})
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// drop lets retention take the n oldest records.
func (m *memory) drop(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries[:n] {
		m.dropped = append(m.dropped, e.Pos)
	}
	m.entries = m.entries[n:]
}

func (m *memory) fail(commit, read error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commitErr, m.readErr = commit, read
}

func (m *memory) Cursor(_ context.Context, exporter string, replay bool) (delivery.Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readErr != nil {
		return delivery.Cursor{}, m.readErr
	}
	c, ok := m.cursors[exporter]
	if !ok {
		if !replay {
			c.Pos = m.last
		}
		m.cursors[exporter] = c
		m.totals[exporter] = &delivery.Counts{Rejected: map[string]int64{}, Expired: map[string]int64{}}
	}
	return c, nil
}

func (m *memory) Read(_ context.Context, after delivery.Position, limit int) ([]delivery.Entry, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readErr != nil {
		return nil, 0, m.readErr
	}
	var found []delivery.Entry
	for _, e := range m.entries {
		if e.Pos > after && len(found) < limit {
			found = append(found, e)
		}
	}
	var lost int64
	for _, pos := range m.dropped {
		if len(found) > 0 && pos > after && pos < found[0].Pos {
			lost++
		}
	}
	return found, lost, nil
}

func (m *memory) Commit(ctx context.Context, exporter string, cursor delivery.Cursor, counts delivery.Counts) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.commitErr != nil {
		return m.commitErr
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if cursor.State == nil {
		cursor.State = m.cursors[exporter].State
	}
	m.cursors[exporter] = cursor
	if m.committed != nil {
		m.committed()
	}
	total := m.totals[exporter]
	total.Sent += counts.Sent
	for reason, n := range counts.Rejected {
		total.Rejected[reason] += n
	}
	for reason, n := range counts.Expired {
		total.Expired[reason] += n
	}
	return nil
}

func (m *memory) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *memory) Backlog(_ context.Context, after delivery.Position) (n int64, oldest time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		if e.Pos > after {
			if n++; n == 1 {
				oldest = e.Record.At
			}
		}
	}
	return n, oldest, nil
}

// books are the durable counts and cursor of an exporter.
func (m *memory) books(exporter string) (delivery.Cursor, delivery.Counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := *m.totals[exporter]
	total.Rejected, total.Expired = maps.Clone(total.Rejected), maps.Clone(total.Expired)
	return m.cursors[exporter], total
}

// balance is the oracle: appended = sent + rejected + expired + pending, for an exporter that began with the first record.
func (m *memory) balance(t *testing.T, exporter string) {
	t.Helper()
	cursor, c := m.books(exporter)
	pending, _, err := m.Backlog(t.Context(), cursor.Pos)
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, pos := range m.dropped { // dropped and not yet found to be
		if pos > cursor.Pos {
			pending++
		}
	}
	if sum := c.Sent + total(c.Rejected) + total(c.Expired) + pending; sum != int64(m.last) {
		t.Errorf("%s: appended %d, but sent %d, rejected %v, expired %v, pending %d", exporter, m.last, c.Sent, c.Rejected, c.Expired, pending)
	}
}

func total(counts map[string]int64) int64 {
	var n int64
	for _, c := range counts {
		n += c
	}
	return n
}

// backend is an exporter by hand.
type backend struct {
	mu     sync.Mutex // guards the rest
	answer func(ctx context.Context, batch []checks.Record) (exporters.Outcome, error)
	got    []checks.Record // of the batches that were accepted, without the rejected
	sizes  []int           // of every batch
	times  []time.Time     // of every attempt
	inside int
	most   int // calls at a time
	closed int
	state  []byte // at open
}

func (b *backend) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	b.mu.Lock()
	b.inside++
	b.most = max(b.most, b.inside)
	b.sizes, b.times = append(b.sizes, len(batch)), append(b.times, time.Now())
	answer := b.answer
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.inside--
		b.mu.Unlock()
	}()
	var outcome exporters.Outcome
	var err error
	if answer != nil {
		outcome, err = answer(ctx, batch)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		rejected := map[int]bool{}
		for _, r := range outcome.Rejected {
			rejected[r.Index] = true
		}
		for i, record := range batch {
			if !rejected[i] {
				b.got = append(b.got, record)
			}
		}
	}
	return outcome, err
}

func (b *backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed++
	if b.inside > 0 {
		return errors.New("closed during an export")
	}
	return nil
}

func (b *backend) set(answer func(ctx context.Context, batch []checks.Record) (exporters.Outcome, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

// What there was until now.

func (b *backend) calls() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sizes)
}

func (b *backend) attempts() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.times)
}

func (b *backend) records() []checks.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func (b *backend) closes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// failing answers every batch with one error.
func failing(err error) func(context.Context, []checks.Record) (exporters.Outcome, error) {
	return func(context.Context, []checks.Record) (exporters.Outcome, error) { return exporters.Outcome{}, err }
}

func (b *backend) ids() []string {
	records := b.records()
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	return ids
}

// logbook is a buffer that can be read while it is written.
type logbook struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (c *courier) logged() string {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.buf.String()
}

// courier is a worker that runs.
type courier struct {
	*delivery.Worker

	t     *testing.T
	log   *logbook
	drain chan struct{}
	kill  context.CancelFunc
	ended chan error
}

func deliver(t *testing.T, m *memory, b *backend, o delivery.Options) *courier {
	t.Helper()
	if o.Name == "" {
		o.Name = "x"
	}
	o.Queue, o.Replay = m, true
	if o.Open == nil {
		o.Open = func(_ context.Context, state []byte) (exporters.Exporter, error) {
			b.state = state
			return b, nil
		}
	}
	c := &courier{t: t, log: &logbook{}, drain: make(chan struct{}), ended: make(chan error, 1)}
	o.Log = slog.New(slog.NewTextHandler(c.log, nil))
	c.Worker = delivery.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	c.kill = cancel
	go func() { c.ended <- c.Run(ctx, c.drain) }()
	synctest.Wait()
	return c
}

// stop drains and gives what Run returned.
func (c *courier) stop() error {
	close(c.drain)
	err := <-c.ended
	c.kill()
	return err
}

// halt ends it at once; where it stood is in the books.
func (c *courier) halt() {
	c.t.Helper()
	c.kill()
	if err := <-c.ended; err != nil {
		c.t.Errorf("Run: %v", err)
	}
}

func (c *courier) mustStop() {
	c.t.Helper()
	if err := c.stop(); err != nil {
		c.t.Errorf("Run: %v", err)
	}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantIDs asks for the records from first to last, in order, each once.
func wantIDs(t *testing.T, got []string, first, last int) {
	t.Helper()
	if len(got) != last-first+1 {
		t.Fatalf("got %d records, want %d", len(got), last-first+1)
	}
	for i, id := range got {
		if want := fmt.Sprintf("r%05d", first+i); id != want {
			t.Fatalf("record %d is %s, want %s", i, id, want)
		}
	}
}
