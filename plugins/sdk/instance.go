package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// instance is one check or exporter of the agent's file.
type instance struct {
	kind     *kind
	name     string
	turn     chan struct{} // holds one token: calls of one instance never run at the same time
	gone     chan struct{} // closed when the instance is not to be used any more
	check    checks.Check
	exporter exporters.Exporter
	memory   *memory
}

func newInstance(k *kind, name string) *instance {
	return &instance{kind: k, name: name, turn: make(chan struct{}, 1), gone: make(chan struct{}), memory: new(memory)}
}

// enter waits until no other call of the instance runs. leave must follow where the error is nil.
func (i *instance) enter(ctx context.Context) error {
	select {
	case i.turn <- struct{}{}:
	case <-i.gone:
		return errNotThere()
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	select { // the turn may have come together with an end
	case <-i.gone:
		i.leave()
		return errNotThere()
	case <-ctx.Done():
		i.leave()
		return status.FromContextError(ctx.Err()).Err()
	default:
		return nil
	}
}

func (i *instance) leave() { <-i.turn }

// retire waits for the call that goes on, and closes the instance. It is called once.
func (i *instance) retire(ctx context.Context) error {
	if err := i.enter(ctx); err != nil {
		close(i.gone) // a call that never ends keeps what it has; nobody else gets it
		return err
	}
	close(i.gone)
	defer i.leave()
	for _, part := range []any{i.check, i.exporter} {
		if closer, ok := part.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				return status.Errorf(codes.Internal, "closing %q: %s", i.name, wire.Line(err.Error()))
			}
		}
	}
	return nil
}

func errNotThere() error {
	return status.Error(codes.FailedPrecondition, "the instance is not there; configure it")
}

// memory is the durable bytes of a check: the agent keeps them between runs.
type memory struct {
	mu      sync.Mutex // guards all below
	running bool
	saved   bool
	data    []byte
}

func (m *memory) begin(data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running, m.saved, m.data = true, false, data
}

// end is what the run saved; nil where it saved nothing.
func (m *memory) end() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, saved := m.data, m.saved
	m.running, m.saved, m.data = false, false, nil
	if !saved {
		return nil
	}
	if data == nil {
		data = []byte{}
	}
	return data
}

// Load implements checks.Memory.
func (m *memory) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return nil, errors.New("reading the check's memory: a plugin has it during a run only")
	}
	if len(m.data) == 0 {
		return nil, nil
	}
	return slices.Clone(m.data), nil
}

// Save implements checks.Memory.
func (m *memory) Save(_ context.Context, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return errors.New("saving the check's memory: a plugin has it during a run only")
	}
	if len(data) > wire.MaxMemory {
		return fmt.Errorf("saving the check's memory: %d bytes, want at most %d", len(data), wire.MaxMemory)
	}
	m.saved, m.data = true, slices.Clone(data)
	return nil
}
