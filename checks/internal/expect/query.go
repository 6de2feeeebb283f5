package expect

import (
	"context"
	"errors"
	"time"

	"github.com/itchyny/gojq"
)

// Query is a jq expression that asks for one value, tamed and bounded like that of an expectation. It is immutable.
type Query struct {
	code   *gojq.Code
	bounds *bounds
}

// Why a Query has no value. Neither holds anything of what was asked.
var (
	ErrFailed = errors.New("the expression does not fit the value")
	ErrBeyond = errors.New("the expression takes more time or memory than it may")
)

// NewQuery compiles the expression. Its error says what is wrong with it.
func NewQuery(text string) (*Query, error) {
	code, b, err := compileJQ(text)
	if err != nil {
		return nil, err
	}
	return &Query{code: code, bounds: b}, nil
}

// Turn is a row of evaluations by one goroutine, without waits in between. It is short: while one expression is suspected
// to grow without end, it waits for every turn to be over.
type Turn struct {
	ctx   context.Context //nolint:containedctx // of the turn, from Begin to End
	leash *leash
}

// Begin waits for a turn. Its error is ctx's. Whoever began it must End it.
func Begin(ctx context.Context) (*Turn, error) {
	l, err := newLeash(ctx)
	return &Turn{ctx: ctx, leash: l}, err
}

// End gives the turn back.
func (t *Turn) End() { t.leash.leave() }

// renew begins anew where the evaluation before went beyond its bounds.
func (t *Turn) renew() error {
	if t.leash.over == nil {
		return nil
	}
	t.leash.leave()
	l, err := newLeash(t.ctx)
	t.leash = l
	return err
}

// First is the first output for a JSON value, as encoding/json decodes it; nil where there is none. The error is ErrFailed,
// ErrBeyond, or that of the turn's context.
func (q *Query) First(t *Turn, input any) (any, error) {
	if err := t.renew(); err != nil {
		return nil, err
	}
	t.leash.until = time.Now().Add(jqPatience)
	value, _ := q.code.RunWithContext(t.leash, input).Next()
	failure, failed := value.(error)
	switch {
	case !failed:
		return value, nil
	case t.ctx.Err() != nil:
		return nil, t.ctx.Err()
	case failure == q.bounds.beyond, t.leash.Err() != nil: //nolint:errorlint // it is this one
		return nil, ErrBeyond
	}
	return nil, ErrFailed // its own text may quote the value
}
