package ndjson

// The bounds of what is remembered of lines.
const (
	maxSeen = 1 << 16 // ids: many times the largest batch
	maxID   = 128     // bytes of an id; longer ones are none of ours
)

// place is where a line ends.
type place struct {
	file string
	end  int64
}

// seen remembers where the last lines stand, by their ids.
type seen struct {
	places map[string]place
	order  []string // a ring
	next   int
}

func newSeen(size int) *seen {
	return &seen{places: map[string]place{}, order: make([]string, size)}
}

func (s *seen) at(id string) (place, bool) {
	at, ok := s.places[id]
	return at, ok
}

// put remembers a line, and forgets the oldest. A line without an id is not remembered.
func (s *seen) put(id string, at place) {
	if id == "" || len(id) > maxID {
		return
	}
	if _, ok := s.places[id]; !ok {
		delete(s.places, s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % len(s.order)
	}
	s.places[id] = at
}
