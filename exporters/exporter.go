// Package exporters is the contract between delivery and the places where results go. An exporter never sees a queue,
// never retries and never knows who measured: it turns one batch into one attempt and says what became of it.
package exporters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Exporter sends batches. An Exporter that is also an io.Closer is closed after its last Export.
type Exporter interface {
	// Export makes one attempt to send the batch, oldest record first, and obeys the deadline of ctx. It is never called
	// concurrently. A nil error means that every record has its outcome: accepted, or named in Outcome.Rejected. Any other
	// error is made by Retry, Hold, Split or Poison; an error of none of these is a Retry. Progress says how far an attempt
	// came before such an error.
	Export(ctx context.Context, batch []checks.Record) (Outcome, error)
}

// Outcome is what became of a batch.
type Outcome struct {
	// Rejected are the records that the backend refused for good; all others were accepted.
	Rejected []Rejection
	// State is kept with the cursor, in one transaction, and handed back in Env.State: totals are a function of the
	// cursor, so a retry or a re-delivery computes the same numbers. nil keeps the state that was.
	State []byte
	// RejectedPoints are the points, events and spans that the backend did not take of a batch that it accepted, where it
	// does not say of which records they were (OTLP's partial success). They are counted, not sent again.
	RejectedPoints int64
}

// Rejection is one record that the backend refused for good.
type Rejection struct {
	Index  int // in the batch
	Reason string
}

// Refresher is implemented by exporters whose backend forgets what is not repeated, and by those that tell people, who must
// hear of an end even where its record was lost.
type Refresher interface {
	// Refresh is called about once a minute, whatever waits, and never beside Export. open are the alerts that are open now.
	// Those that the exporter told of and that are not among them are over. The state is kept as that of Export, nil keeps
	// the one that was; it counts where err is not nil too, so that what was told is known.
	Refresh(ctx context.Context, open []checks.Alert) (state []byte, err error)
}

// Selective is implemented by exporters that have a use for some types of record only. The others are passed over and count
// as neither sent nor rejected. Records that are wanted do not wait for others to go out with: they are told at once.
type Selective interface {
	Wants(t checks.RecordType) bool
}

// Routing is implemented by exporters that tell people of alerts: whom a deployment depends on must be reached before it.
type Routing interface {
	// Takes reports whether an alert would be told.
	Takes(alert checks.Alert) bool
	// Reach reads what the way needs, credentials too, and asks the backend for nothing. Nobody is told of anything.
	Reach(ctx context.Context) error
}

// Handler is implemented by exporters that serve something on the agent's listener. Pattern is a path: "/metrics".
type Handler interface {
	Handler() (pattern string, handler http.Handler)
}

// Local is implemented by exporters that send to Unix sockets of the host. `validate --online` judges whether the agent's user
// may.
type Local interface {
	// Sockets are the absolute paths of the sockets.
	Sockets() []string
}

// Kind is a type of exporter. Make one with NewKind.
type Kind struct {
	Name     string
	Doc      string
	Defaults any
	Validate func(checks.Decoder) error
	New      func(checks.Decoder, Env) (Exporter, error)
}

// NewKind makes a Kind from a params struct P, as checks.NewKind does.
func NewKind[P any](name, doc string, defaults P, build func(P, Env) (Exporter, error)) Kind {
	return Kind{
		Name:     name,
		Doc:      doc,
		Defaults: defaults,
		Validate: func(d checks.Decoder) error { _, err := checks.DecodeParams(d, defaults); return err },
		New: func(d checks.Decoder, env Env) (Exporter, error) {
			params, err := checks.DecodeParams(d, defaults)
			if err != nil {
				return nil, err
			}
			return build(params, env)
		},
	}
}

// Env is what the agent lends an exporter.
type Env struct {
	Log      *slog.Logger
	Name     string            // the exporter's name in the configuration
	Version  string            // the agent's
	Instance string            // stable id of this agent, for service.instance.id
	Location string            // `location:`
	Runbooks string            // `runbook.url`, for the name of a page to follow; "" are the pages that ship
	Labels   map[string]string // `labels:`: resource attributes, tags, series labels
	State    []byte            // as committed with the cursor; nil at the first start
	Warm     []checks.Record   // the last final record of each check, for exporters that show the present
	Network  any               // the agent's way out, *outbound.Network; nil while only validating
	Stdout   interface{ Write([]byte) (int, error) }
	Getenv   func(string) string // for the OTEL_EXPORTER_OTLP_* and DD_* variables; nil reads nothing
	Unclean  bool                // the process before was killed: what it wrote last may be cut off
	Probing  bool                // validate --online: the exporter is built to be tried once, nothing is kept
}

type action uint8

const (
	actionRetry action = iota
	actionHold
	actionSplit
	actionPoison
)

type exportError struct {
	action action
	after  time.Duration
	err    error
}

func (e *exportError) Error() string { return e.err.Error() }
func (e *exportError) Unwrap() error { return e.err }

// Retry says: the same batch, later. after is the backend's own wish (Retry-After), zero where it had none.
func Retry(err error, after time.Duration) error { return &exportError{actionRetry, after, err} }

// Hold says: nothing of this will work until an operator changes something (401, 403, 404). Nothing is dropped for it
// before max_age; delivery tries again slowly.
func Hold(err error) error { return &exportError{action: actionHold, err: err} }

// Split says: the batch is too large (413); send it in halves. A single record that is too large is Poison.
func Split(err error) error { return &exportError{action: actionSplit, err: err} }

// Poison says: something in this batch can never be accepted (400). Delivery bisects to the one bad record and counts it.
func Poison(err error) error { return &exportError{action: actionPoison, err: err} }

// progressError is an error behind which something is done already.
type progressError struct {
	n     int
	state []byte
	err   error
}

func (e *progressError) Error() string { return e.err.Error() }
func (e *progressError) Unwrap() error { return e.err }

// Progress says: the first n records of the batch have their outcome, as with a nil error (those of them that are in
// Outcome.Rejected are rejected), and do not come again; state is kept with them, nil keeps the one that was. What
// becomes of the rest is as err says. n may be zero where only the state has changed. It is for exporters whose batch is many
// attempts, where to make one again would be noticed: people are told twice.
func Progress(n int, state []byte, err error) error { return &progressError{n, state, err} }

// ProgressOf reads an error made by Progress; all is zero for any other.
func ProgressOf(err error) (n int, state []byte) {
	if e, ok := errors.AsType[*progressError](err); ok {
		return e.n, e.state
	}
	return 0, nil
}

// IsHold, IsSplit, IsPoison and RetryAfter read the errors made above; an error of none of these is a retry.

// IsHold reports whether err was made by Hold.
func IsHold(err error) bool { return is(err, actionHold) }

// IsSplit reports whether err was made by Split.
func IsSplit(err error) bool { return is(err, actionSplit) }

// IsPoison reports whether err was made by Poison.
func IsPoison(err error) bool { return is(err, actionPoison) }

// RetryAfter is the backend's wish in an error made by Retry, else zero.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*exportError](err); ok {
		return e.after
	}
	return 0
}

func is(err error, want action) bool {
	e, ok := errors.AsType[*exportError](err)
	return ok && e.action == want
}

// OfHTTPStatus is the error for an HTTP answer by its status: nil for 2xx, Hold for 401, 403 and 404, Split for 413,
// Retry for 408, 429 and 5xx, Poison for the other 4xx, Hold for a redirect.
func OfHTTPStatus(status int, retryAfter time.Duration, doing string) error {
	err := fmt.Errorf("%s: status %d, want 2xx", doing, status)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status >= 300 && status < 400:
		return Hold(err)
	case status == http.StatusRequestEntityTooLarge:
		return Split(err)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500, status < 200:
		return Retry(err, retryAfter)
	default:
		return Poison(err)
	}
}
