package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
)

// writer runs statements in a transaction until the first that fails.
type writer struct {
	ctx      context.Context //nolint:containedctx // of the one transaction
	tx       *sql.Tx
	stmts    []*sql.Stmt
	prepared map[int]*sql.Stmt
	err      error
}

// put runs a statement by its number.
func (w *writer) put(number int, args ...any) {
	if w.err != nil {
		return
	}
	stmt := w.prepared[number]
	if stmt == nil {
		stmt = w.tx.StmtContext(w.ctx, w.stmts[number])
		w.prepared[number] = stmt
	}
	_, w.err = stmt.ExecContext(w.ctx, args...)
}

// do runs a query that is seldom.
func (w *writer) do(query string, args ...any) {
	if w.err == nil {
		_, w.err = w.tx.ExecContext(w.ctx, query, args...)
	}
}

func (c *changes) write(w *writer, meta map[string]string) error {
	if c.dirty.meta {
		for key, value := range meta {
			w.put(putMeta, key, value)
		}
		for _, v := range c.voids {
			w.do("INSERT OR REPLACE INTO voids (first, last) VALUES (?, ?)", v.first, v.last)
		}
	}
	for _, row := range c.cursors {
		rejected, err1 := json.Marshal(row.counts.Rejected)
		expired, err2 := json.Marshal(row.counts.Expired)
		w.err = errors.Join(w.err, err1, err2)
		w.put(putCursor, row.exporter, row.pos, row.state, row.counts.Sent, string(rejected), string(expired))
	}
	for _, row := range c.states {
		w.put(putState, row.key, row.data)
	}
	for _, key := range c.gone {
		w.do("DELETE FROM states WHERE key = ?", key)
	}
	for _, row := range c.dirty.events {
		w.do("INSERT OR IGNORE INTO events (id, at, incident, data) VALUES (?, ?, ?, CAST(? AS TEXT))", row.id, row.at, row.incident, row.data)
	}
	for _, row := range c.runs {
		w.put(putRun, row.check, row.lastRun, row.lastPos)
	}
	if c.withRuns {
		w.put(putMeta, "runs", strconv.FormatInt(int64(c.high), 10))
	}
	c.owed.write(w, c.dirty.meta)
	return w.err
}

func (o *owed) write(w *writer, always bool) {
	if o.shift != 0 {
		w.do("UPDATE ledger SET at = at + ?", o.shift)
		w.do("UPDATE ledger_hours SET until = -(until + ?)", o.shift) // in two steps: no two are ever the same
		w.do("UPDATE ledger_hours SET until = -until WHERE until < 0")
	}
	if o.shift != 0 || always {
		w.put(putMeta, "shifted", strconv.FormatInt(o.at, 10))
	}
	for i := range o.rows {
		row := &o.rows[i]
		w.put(putClaim, row.ID, row.at, row.Check, row.Provider, row.Model, string(row.Trigger), row.Amount, row.cost,
			row.prompt, row.cached, row.completion, row.estimated, !row.unpriced)
	}
	for _, row := range o.lumps {
		w.put(addLump, row.until, row.who.check, row.who.provider, row.who.model, string(row.who.trigger), row.used.runs,
			row.used.cost, row.used.reserved, row.used.prompt, row.used.cached, row.used.completion, row.used.unpriced)
	}
}
