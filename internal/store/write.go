package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/incident"
)

const drainChunk = 1000 // records of the ring in one transaction

// request is one caller's wait for the disk. What it changed in memory is dirty already; records come with it.
type request struct {
	staged  []*staged
	states  []stateRow // nil data: deleted
	events  []eventRow
	done    chan struct{}
	within  time.Duration // how long after the last write it may wait for others
	durable bool          // everything that was dirty when the request came is on disk
}

// staged is a record on its way in.
type staged struct {
	entry
	err error // it was not kept
}

// Append keeps records, in order. It returns when they are on disk or, while the disk fails, in the ring. The error is
// for records that could not be kept at all, those with an id that is kept already among them; the others are kept.
// It does not stop when ctx ends: what was handed over is kept.
func (s *Store) Append(ctx context.Context, records ...checks.Record) error {
	return s.append(ctx, 0, records)
}

// Gather is Append for callers that come from many sides and whom nobody waits for: while the disk is written often, the
// records wait so long after the last write, so that one transaction takes what came meanwhile. After a pause they do not wait.
func (s *Store) Gather(ctx context.Context, within time.Duration, records ...checks.Record) error {
	return s.append(ctx, within, records)
}

func (s *Store) append(ctx context.Context, within time.Duration, records []checks.Record) error {
	return s.Begin(within, nil, records...)(ctx)
}

// Begin hands over records, and states that become true with them (nil bytes: deleted), and returns at once. What was
// begun first is kept first. The disk has the records and their states, or neither, whenever the process is killed; but
// while the database cannot be written the states are in the spare file, and outlive a process whose records were in memory
// only, and those that memory dropped because it was full. LoadState may know the states before the disk does.
//
// wait must be called, once, by whoever may wait: it is the rest of Append, or of Gather where within is above zero.
func (s *Store) Begin(within time.Duration, states map[string][]byte, records ...checks.Record) (wait func(ctx context.Context) error) {
	return s.BeginWith(within, Along{States: states}, records...)
}

// Along is what is kept together with records, or without any.
type Along struct {
	States map[string][]byte
	Events []incident.Event
}

// BeginWith is Begin with the timeline's events, which the disk has with the records as well.
func (s *Store) BeginWith(within time.Duration, along Along, records ...checks.Record) (wait func(ctx context.Context) error) {
	rows, errs := encodeEvents(along.Events)
	req := &request{done: make(chan struct{}), within: within, events: rows}
	for _, record := range records {
		e, err := encode(record)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		req.staged = append(req.staged, &staged{entry: e})
	}
	for key, data := range along.States {
		req.states = append(req.states, stateRow{key, bytes.Clone(data)})
	}
	if len(req.staged)+len(req.states)+len(req.events) == 0 {
		return func(context.Context) error { return errors.Join(errs...) }
	}
	if err := s.enqueue(req); err != nil {
		return func(context.Context) error { return err }
	}
	return func(ctx context.Context) error {
		s.await(ctx, req)
		for _, st := range req.staged {
			errs = append(errs, st.err)
		}
		return errors.Join(errs...)
	}
}

// Settle waits until what was begun before is kept, so that whoever reads next finds it.
func (s *Store) Settle(ctx context.Context) error {
	_, err := s.persist(ctx)
	return err
}

// persist puts on disk what is dirty, and reports whether it is there.
func (s *Store) persist(ctx context.Context) (bool, error) {
	req := &request{done: make(chan struct{})}
	if err := s.enqueue(req); err != nil {
		return false, err
	}
	s.await(ctx, req)
	return req.durable, nil
}

func (s *Store) enqueue(req *request) error {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.queue = append(s.queue, req)
	return nil
}

// await waits until req was served: whoever gets the token serves all that wait, in one transaction.
func (s *Store) await(ctx context.Context, req *request) {
	s.patience(req)
	select {
	case <-req.done:
	case s.token <- struct{}{}:
		select {
		case <-req.done: // served while we waited
		default:
			s.flush(context.WithoutCancel(ctx))
		}
		<-s.token
	}
	<-req.done // closed by our own flush, or by the one before it
}

// patience waits for a request that may wait, until it was served or its time has come.
func (s *Store) patience(req *request) {
	wait := req.within - time.Since(time.Unix(0, s.flushed.Load()))
	if wait <= 0 || wait > req.within {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-req.done:
	case <-timer.C:
	case <-s.stop:
	}
}

func encode(r checks.Record) (entry, error) {
	if r.ID == "" {
		return entry{}, fmt.Errorf("a record of type %q has no id", r.Type())
	}
	data, err := r.MarshalJSON() // json.Marshal would read it all again
	if err != nil {
		return entry{}, fmt.Errorf("encoding record %q: %w", r.ID, err)
	}
	e := entry{id: r.ID, at: micros(r.At), kind: r.Type(), data: data}
	if read, ok := r.AsRead(); ok && !bytes.Contains(data, []byte(`\ufffd`)) { // JSON's word for what was no UTF-8
		e.record = &read
	}
	if e.at == 0 {
		e.at = time.Now().UnixMicro()
	}
	if p := r.Report; p != nil {
		e.check, e.status, e.final, e.scheduled = p.Check, p.Status.String(), p.Final, micros(p.ScheduledAt)
		e.slot = p.Final && p.Trigger != checks.TriggerManual && p.Trigger != checks.TriggerGate && p.Trigger != checks.TriggerDrill
		if p.ID != r.ID {
			return entry{}, fmt.Errorf("record %q holds the report %q", r.ID, p.ID)
		}
	}
	return e, nil
}

// flush serves all requests that wait. The token is held.
func (s *Store) flush(ctx context.Context) {
	s.queueMu.Lock()
	reqs := s.queue
	s.queue = nil
	s.queueMu.Unlock()
	var batch []*staged
	for _, req := range reqs {
		for _, st := range req.staged {
			s.written.Add(int64(len(st.data)))
		}
		batch = append(batch, req.staged...)
	}
	s.adoptStates(reqs)
	durable := s.serve(ctx, batch)
	s.flushed.Store(time.Now().UnixNano())
	for _, req := range reqs {
		req.durable = durable
		close(req.done)
	}
}

// adoptStates makes the states of requests true in memory. On their way to the disk they go with the request's last record.
func (s *Store) adoptStates(reqs []*request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, req := range reqs {
		s.mem.addEvents(req.events)
		for _, row := range req.states {
			s.mem.setState(row)
			s.mem.dirty.states[row.key] = struct{}{}
			s.mem.along[row.key], s.mem.urgent = struct{}{}, true
		}
		if n := len(req.staged); n > 0 {
			req.staged[n-1].states = req.states
		}
	}
}

// serve puts the batch and all that is dirty on disk, or keeps it in memory.
func (s *Store) serve(ctx context.Context, batch []*staged) bool {
	now := time.Now()
	durable := false
	if s.due(now) {
		err := s.put(ctx, batch)
		if durable = err == nil; durable {
			s.recovered(now)
		} else {
			s.degrade(now, err)
		}
	}
	s.saveSpare(durable)
	s.keep(batch, durable)
	s.markServed(now, durable)
	return durable
}

// markServed notes in the mark's page how far the disk has come. Money that the database lacks because it cannot be
// written is told durably.
func (s *Store) markServed(now time.Time, durable bool) {
	owes := !durable && s.ledger.owes()
	err := s.writeMark(func(p *page) {
		switch {
		case durable:
			p.UnrecordedSince = 0
		case owes && p.UnrecordedSince == 0:
			p.UnrecordedSince = now.UnixMicro()
		}
	})
	if err == nil && owes {
		err = s.mark.sync()
	}
	if err != nil && durable {
		s.log.Debug("the spend marker cannot be written", "error", err)
	}
}

// put is one try to write, with one repetition in a new file where the old one turns out to be corrupt.
func (s *Store) put(ctx context.Context, batch []*staged) error {
	if err := s.reopen(ctx); err != nil {
		return err
	}
	err := s.commit(ctx, batch)
	if !isCorrupt(err) {
		return err
	}
	s.moved = err
	if err := s.reopen(ctx); err != nil {
		return err
	}
	return s.commit(ctx, batch)
}

// keep gives the batch its places in memory and wakes the readers.
func (s *Store) keep(batch []*staged, durable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mem
	kept := 0
	for _, st := range batch {
		if _, double := m.tail.ids[st.id]; double && !durable {
			st.err = duplicate(st.id)
		}
		if st.err != nil {
			continue
		}
		kept++
		st.pos = m.next
		m.next++
		if !durable {
			m.note(st.entry)
		}
		m.health.RingDropped += int64(m.tail.add(st.entry, durable))
	}
	if kept == 0 {
		return
	}
	if durable {
		m.health.Records += int64(kept)
	}
	m.announce()
}

func duplicate(id string) error { return fmt.Errorf("a record with the id %q is kept already", id) }

// commit writes the ring, the batch and all that is dirty. Only the last transaction can hold the batch.
func (s *Store) commit(ctx context.Context, batch []*staged) error {
	for {
		s.mu.RLock()
		ring := s.mem.tail.dirty()
		s.mu.RUnlock()
		last := len(ring) <= drainChunk
		if !last {
			ring = ring[:drainChunk]
		}
		t := transaction{store: s, ring: ring, last: last}
		if last {
			t.batch = batch
		}
		if err := t.run(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		s.mem.tail.stored(len(ring))
		s.mem.health.Records += int64(t.drained)
		s.mu.Unlock()
		if last {
			return nil
		}
	}
}

// transaction writes one group to the disk.
type transaction struct {
	store   *Store
	ring    []entry
	batch   []*staged
	last    bool // nothing follows: it writes all that is dirty
	drained int
	high    delivery.Position // of the records up to the batch's end
}

func (t *transaction) run(ctx context.Context) error {
	s := t.store
	tx, err := s.file.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning to write: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := t.insert(ctx, tx.StmtContext(ctx, s.file.stmts[insertRecord])); err != nil {
		return err
	}
	closing := s.isClosed()
	s.mu.Lock()
	changes := s.mem.take(time.Now(), closing)
	if !t.last { // records that the states belong to may still wait: take those that are due only
		s.mem.dirty.states, changes.dirty.states = changes.dirty.states, nil
		changes.states, changes.gone = latest(t.ring)
		s.mem.dirty.meta = true
		s.mem.dirty.events, changes.dirty.events = changes.dirty.events, nil
	}
	s.mu.Unlock()
	changes.high = t.high
	changes.owed = s.ledger.take()
	meta := s.meta()
	if !t.last { // the states are not all there yet
		delete(meta, spareMeta)
	}
	err = changes.write(&writer{ctx: ctx, tx: tx, stmts: s.file.stmts, prepared: map[int]*sql.Stmt{}}, meta)
	if err == nil {
		err = tx.Commit()
	}
	if err == nil {
		s.ledger.written(changes.owed)
		return nil
	}
	s.mu.Lock()
	s.mem.dirty.merge(changes.dirty)
	s.mu.Unlock()
	s.ledger.giveBack(changes.owed)
	return fmt.Errorf("writing: %w", err)
}

// insert writes the records. Those of the ring keep their places; the batch takes the next ones.
func (t *transaction) insert(ctx context.Context, stmt *sql.Stmt) error {
	for _, e := range t.ring {
		fresh, err := insertEntry(ctx, stmt, e)
		if err != nil {
			return err
		}
		if fresh {
			t.drained++
		}
	}
	s := t.store
	s.mu.RLock()
	next := s.mem.next
	s.mu.RUnlock()
	for _, st := range t.batch {
		st.pos, st.err = next, nil
		fresh, err := insertEntry(ctx, stmt, st.entry)
		if err != nil {
			return err
		}
		if !fresh {
			st.err = duplicate(st.id)
			continue
		}
		next++
		s.mu.Lock()
		s.mem.note(st.entry)
		s.mu.Unlock()
	}
	t.high = next - 1
	return nil
}

func insertEntry(ctx context.Context, stmt *sql.Stmt, e entry) (fresh bool, err error) {
	result, err := stmt.ExecContext(ctx, e.pos, e.id, e.at, string(e.kind), e.check, e.status, e.final, e.scheduled,
		int64(crc32.ChecksumIEEE(e.data)), e.data)
	if err != nil {
		return false, fmt.Errorf("writing record %q: %w", e.id, err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// meta is the table of the same name.
func (s *Store) meta() map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	meta := map[string]string{
		"instance": s.mem.instance, "boot_id": s.o.BootID, "assumed_at": strconv.FormatInt(s.ledger.assumed(), 10),
		"high": strconv.FormatInt(int64(s.mem.next-1), 10), spareMeta: strconv.FormatInt(s.mem.spared, 10),
	}
	if s.o.Version != "" {
		meta[metaVersion] = s.o.Version
	}
	return meta
}

// writeMark puts what must be known outside the database into its page. The money is read within, so that no write brings
// back what it was before another one.
func (s *Store) writeMark(change func(*page)) error {
	s.mu.RLock()
	instance, last := s.mem.instance, s.mem.next-1
	s.mu.RUnlock()
	return s.mark.write(func(p *page) {
		p.Instance, p.BootID, p.Position = instance, s.o.BootID, max(p.Position, last)
		s.ledger.totals(p)
		if change != nil {
			change(p)
		}
	})
}
