// Package stdout writes every record to the agent's standard output: one JSON object per line, or one line for a person.
// It keeps no state, and writes nothing but whole batches of whole lines.
package stdout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Format is how a record looks.
type Format string

// The formats.
const (
	JSON   Format = "json"   // one object per line, the record's one JSON form
	Pretty Format = "pretty" // one aligned line for a person, without colour
)

// Params is the `with:` section of the kind "stdout".
type Params struct {
	Format Format `yaml:"format" jsonschema:"enum=json,enum=pretty" jsonschema_description:"how a record looks: json (one object per line) or pretty (one aligned line for a person)"`
}

// Validate checks the format.
func (p Params) Validate() error {
	if p.Format != JSON && p.Format != Pretty {
		return checks.Invalid("format", "%q is not one of json, pretty", string(p.Format))
	}
	return nil
}

const doc = "Writes every record to the agent's standard output, one line each, as JSON or for a person."

// Kind is the exporter kind "stdout".
func Kind() exporters.Kind {
	return exporters.NewKind("stdout", doc, Params{Format: JSON}, func(p Params, env exporters.Env) (exporters.Exporter, error) {
		return New(p, env)
	})
}

// Exporter writes lines. Make one with New. It is not safe for concurrent use.
type Exporter struct {
	format Format
	out    io.Writer
	torn   bool         // the last line was cut, or may have been: end it before the next one begins
	going  <-chan wrote // the write that outlived its deadline; nil where none did
	ids    []string     // of the records up to the end of that write
	late   []string     // of records that such a write has put out, and that are still to be accepted
}

type wrote struct {
	n    int
	last byte
	err  error
}

// New writes to env.Stdout. Nothing is written before the first Export. Where the process before was killed, a file or a
// pipe that outlived it may end in the middle of a line.
func New(p Params, env exporters.Env) (*Exporter, error) {
	return &Exporter{format: p.Format, out: env.Stdout, torn: env.Unclean}, nil
}

// Export writes the batch with one Write. Where that is cut short, the batch comes again, whole: lines may be repeated,
// never lost. A reader that is gone is Hold. A record without a JSON form is rejected.
//
// A Write cannot be interrupted. One that outlives the deadline is a Retry, nothing else is written before it is done, and
// what it has written by then is not written again: a reader that is slower than the deadline gets every line once.
func (e *Exporter) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if len(batch) == 0 {
		return exporters.Outcome{}, nil
	}
	if e.out == nil {
		return exporters.Outcome{}, exporters.Hold(errors.New("writing records: the agent has no standard output"))
	}
	if err := ctx.Err(); err != nil {
		return exporters.Outcome{}, exporters.Retry(fmt.Errorf("writing records: %w", err), 0)
	}
	if e.going != nil {
		if err := e.wait(ctx); err != nil {
			return exporters.Outcome{}, err
		}
		e.late = e.ids
	}
	written := e.writtenOf(batch)
	text, rejected := e.render(batch, written)
	e.going, e.ids = e.write(text), idsOf(batch)
	if err := e.wait(ctx); err != nil {
		return exporters.Outcome{}, err
	}
	e.late = e.late[written:]
	return exporters.Outcome{Rejected: rejected}, nil
}

// writtenOf is how many records at the head of the batch are written already. The batch may be another cut of the same
// records.
func (e *Exporter) writtenOf(batch []checks.Record) int {
	n := min(len(e.late), len(batch))
	if !slices.Equal(e.late[:n], idsOf(batch[:n])) {
		n, e.late = 0, nil
	}
	return n
}

func idsOf(batch []checks.Record) []string {
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].ID
	}
	return ids
}

// render is the text of the batch behind the records that are written already, and what of the batch has no text.
func (e *Exporter) render(batch []checks.Record, written int) ([]byte, []exporters.Rejection) {
	var text bytes.Buffer
	var rejected []exporters.Rejection
	for i := range batch {
		object, err := e.text(batch[i])
		if err != nil {
			rejected = append(rejected, exporters.Rejection{Index: i, Reason: "no JSON form"})
			continue
		}
		if i < written {
			continue
		}
		if e.torn && text.Len() == 0 {
			text.WriteByte('\n')
		}
		text.Write(object)
		text.WriteByte('\n')
	}
	return text.Bytes(), rejected
}

func (e *Exporter) text(rec checks.Record) ([]byte, error) {
	if e.format == Pretty {
		return []byte(line(rec)), nil
	}
	return rec.MarshalJSON()
}

func (e *Exporter) write(text []byte) <-chan wrote {
	done := make(chan wrote, 1)
	if len(text) == 0 {
		done <- wrote{}
		return done
	}
	go func() {
		n, err := e.out.Write(text)
		if err == nil && n < len(text) {
			err = io.ErrShortWrite
		}
		w := wrote{n: n, err: err}
		if n > 0 && n <= len(text) {
			w.last = text[n-1]
		}
		done <- w
	}()
	return done
}

// wait waits for the write that is going.
func (e *Exporter) wait(ctx context.Context) error {
	select {
	case w := <-e.going:
		e.going = nil
		if w.n > 0 {
			e.torn = w.last != '\n'
		}
		return class(w.err)
	case <-ctx.Done():
		return exporters.Retry(fmt.Errorf("writing records: nobody reads: %w", ctx.Err()), 0)
	}
}

// Close waits for nothing. Its error says that the last line may stay cut: a write is going on, or failed half-way.
func (e *Exporter) Close() error {
	select {
	case w := <-e.going:
		e.going = nil
		e.torn = w.n > 0 && w.last != '\n' || w.n == 0 && e.torn
	default:
	}
	if e.going != nil || e.torn {
		return errors.New("closing standard output: its last line may be cut")
	}
	return nil
}

func class(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe), errors.Is(err, os.ErrClosed):
		return exporters.Hold(fmt.Errorf("writing records: the reader is gone: %w", err))
	}
	return exporters.Retry(fmt.Errorf("writing records: %w", err), 0)
}
