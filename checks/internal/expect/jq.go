package expect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/itchyny/gojq"
	"golang.org/x/sync/semaphore"
)

// The bounds of an expression, which may loop for ever and grow without end.
const (
	jqPatience = time.Second
	jqOutputs  = 100
	jqHeap     = 32 << 20              // bytes by which the process may grow meanwhile, twice
	jqRepeat   = 1 << 20               // bytes of a text that is repeated
	jqBits     = 1 << 16               // of a product
	jqSlow     = time.Millisecond / 10 // what takes longer may have allocated a lot
	jqStride   = 1 << 10               // instructions between two looks at the heap
)

// compileJQ gives expressions no environment, no modules and no input but the answer, and nothing that takes long or makes a
// large value in one step.
func compileJQ(text string) (*gojq.Code, *bounds, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("not a jq expression: %w", err)
	}
	if err := tame(reflect.ValueOf(query)); err != nil {
		return nil, nil, err
	}
	b, err := newBounds()
	if err != nil {
		return nil, nil, err
	}
	options := append(b.options(), gojq.WithEnvironLoader(func() []string { return nil }))
	code, err := gojq.Compile(query, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("not a jq expression: %w", err)
	}
	return code, b, nil
}

// tooMuch reports whether a times b is beyond the bounds of a text or a number.
func tooMuch(a, b any) bool {
	switch a := a.(type) {
	case string:
		n, ok := number(b)
		return ok && n*float64(len(a)) > jqRepeat
	case *big.Int:
		bits := a.BitLen()
		if b, ok := b.(*big.Int); ok {
			bits += b.BitLen()
		}
		return bits > jqBits
	}
	return false
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(n).Float64()
		return f, true
	case json.Number:
		f, _ := n.Float64()
		return f, true
	}
	return 0, false
}

// What ends an expression: it grows without end, or took its time.
var (
	errHeap = fmt.Errorf("more than %d MiB", 2*jqHeap>>20)
	errLate = errors.New("more time than it has")
)

// leash is a context that also ends when the heap has grown too much. gojq asks it before each instruction. It is for one
// goroutine.
type leash struct {
	context.Context        //nolint:containedctx // it is one
	most            uint64 // bytes of heap
	last            time.Time
	asked           int
	slots           int64         // of the room, that it holds
	until           time.Time     // the end of its time, beside that of the context; zero: none
	over            chan struct{} // nil until it is over
	why             error         // it is over: errHeap or errLate
}

// room is where evaluations run: many at a time, or alone the one that is suspected to grow without end. The heap is the
// whole process's, so that what sees it grow may not be what grows it.
var room = semaphore.NewWeighted(alone) //nolint:gochecknoglobals // the heap that it goes with is global, too

// alone are all slots of the room.
const alone = 1 << 20

// newLeash waits while another evaluation wants to be alone. Its error is ctx's.
func newLeash(ctx context.Context) (*leash, error) {
	l := &leash{Context: ctx}
	err := l.enter(1)
	return l, err
}

func (l *leash) enter(slots int64) error {
	if err := room.Acquire(l.Context, slots); err != nil {
		return err //nolint:wrapcheck // it is the context's
	}
	l.slots, l.most, l.last = slots, heap()+jqHeap, time.Now()
	return nil
}

// leave is called when the evaluation is over.
func (l *leash) leave() {
	room.Release(l.slots)
	l.slots = 0
}

// Done implements context.Context.
func (l *leash) Done() <-chan struct{} {
	if l.over != nil {
		return l.over
	}
	l.asked++
	now := time.Now()
	switch {
	case !l.until.IsZero() && now.After(l.until):
		return l.end(errLate)
	case (l.asked%jqStride == 0 || now.Sub(l.last) > jqSlow) && l.grown():
		return l.end(errHeap)
	}
	l.last = now
	return l.Context.Done()
}

func (l *leash) end(why error) <-chan struct{} {
	l.over, l.why = make(chan struct{}), why
	close(l.over)
	return l.over
}

// Err implements context.Context.
func (l *leash) Err() error {
	if l.over != nil {
		return l.why
	}
	return l.Context.Err()
}

// grown looks twice: what is no longer used must not count. Who is found for the first time goes on alone, and is given as
// much again.
func (l *leash) grown() bool {
	if heap() <= l.most {
		return false
	}
	if runtime.GC(); heap() <= l.most {
		return false
	}
	if l.slots == alone {
		return true
	}
	l.leave()
	_ = l.enter(alone) // where that fails the context is over, which is told next
	return false
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func (x *Expectation) unmetJQ(ctx context.Context, content string) miss {
	ctx, cancel := context.WithTimeout(ctx, jqPatience)
	defer cancel()
	bounded, err := newLeash(ctx)
	if err != nil {
		return miss{fmt.Sprintf("the jq expression %q had no time", shorten(x.raw.JQ)), true}
	}
	defer bounded.leave()
	iter := x.jq.RunWithContext(bounded, jqInput(content)) //nolint:contextcheck // it is made of ctx
	unmet := fmt.Sprintf("the answer does not satisfy the jq expression %q", shorten(x.raw.JQ))
	for n := 0; ; n++ {
		value, more := iter.Next()
		switch {
		case !more && n == 0:
			return miss{text: unmet + ": no output"}
		case !more:
			return miss{}
		case n == jqOutputs:
			return miss{fmt.Sprintf("the jq expression %q has more than %d outputs", shorten(x.raw.JQ), jqOutputs), true}
		}
		if failure, failed := value.(error); failed { // whose text may quote the answer
			switch err := bounded.Err(); {
			case failure == x.bounds.beyond: //nolint:errorlint // it is this one
				return miss{fmt.Sprintf("the jq expression %q gives a function more than it may take", shorten(x.raw.JQ)), true}
			case errors.Is(err, errHeap):
				return miss{fmt.Sprintf("the jq expression %q takes %s", shorten(x.raw.JQ), err), true}
			case err != nil:
				return miss{fmt.Sprintf("the jq expression %q did not end in time", shorten(x.raw.JQ)), true}
			}
			return miss{text: unmet + ": it failed"}
		}
		if value == nil || value == false {
			return miss{text: unmet}
		}
	}
}

// jqInput is content read as JSON, or itself where it is not exactly one JSON value.
func jqInput(content string) any {
	decoder := json.NewDecoder(strings.NewReader(content))
	var value any
	if decoder.Decode(&value) != nil {
		return content
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return content
	}
	return value
}
