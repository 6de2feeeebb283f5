package source

import "sync"

// Transient is a State that dies with the process.
type Transient struct {
	mu   sync.Mutex // guards data
	data []byte
}

// Load implements State.
func (t *Transient) Load() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.data
}

// Save implements State.
func (t *Transient) Save(data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = data
}
