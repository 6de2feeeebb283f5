package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/delivery"
)

const (
	spareName  = "windsock.spare"
	spareSize  = 1 << 20
	spareState = 64 << 10 // a larger state of an exporter is no notifier's, and is written with those of others only
	spareMeta  = "spare"  // the number of the last episode whose changes the database has
)

// spare is a file that takes what must outlive the process while the database cannot be written: which alerts are open and
// who was told of them. Its room is taken while there is some, and then it is written in place, as the mark is.
type spare struct {
	path   string
	file   *os.File
	filled bool // the file holds something
	going  bool // the episode goes on: what the file takes has its number
	said   bool // that it cannot be written
}

// spared is what the file holds.
type spared struct {
	// Number is the episode's. What the database knows as written, or a later one, counts for nothing.
	Number  int64                  `json:"number"`
	States  map[string][]byte      `json:"states,omitempty"` // null: deleted
	Cursors map[string]sparedPlace `json:"cursors,omitempty"`
}

type sparedPlace struct {
	Pos   delivery.Position `json:"pos"`
	State []byte            `json:"state,omitempty"`
}

// reserve takes the room on the disk. Where there is less the file is used for what fits.
func (p *spare) reserve() error {
	if p.file != nil {
		return nil
	}
	f, err := openOwn(p.path)
	if err != nil {
		return fmt.Errorf("opening the spare file: %w", err)
	}
	p.file = f
	info, err := f.Stat()
	if err == nil && info.Size() < spareSize {
		_, err = f.WriteAt(make([]byte, spareSize-info.Size()), info.Size())
	}
	if err != nil {
		return fmt.Errorf("taking room for the spare file: %w", err)
	}
	return nil
}

// load reads what the process before left. It is empty where there is nothing that can be trusted.
func (p *spare) load() (spared, bool) {
	text, err := os.ReadFile(p.path)
	if err != nil {
		return spared{}, false
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	sum, body, found := bytes.Cut(text, []byte(" "))
	var held spared
	if !found || string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) || json.Unmarshal(body, &held) != nil {
		return spared{}, false
	}
	return held, true
}

func (p *spare) write(held spared) error {
	body, err := json.Marshal(held)
	if err != nil {
		return fmt.Errorf("encoding the spare file: %w", err)
	}
	if err := p.reserve(); p.file == nil {
		return err
	}
	text := append(fmt.Appendf(nil, "%08x ", crc32.ChecksumIEEE(body)), body...)
	if _, err := p.file.WriteAt(append(text, '\n'), 0); err != nil {
		return fmt.Errorf("writing the spare file: %w", err)
	}
	p.filled = true
	return nil
}

// clear forgets what the database has by now.
func (p *spare) clear() {
	if p.filled && p.file != nil {
		if _, err := p.file.WriteAt([]byte("\n"), 0); err == nil {
			p.filled = false
		}
	}
}

func (p *spare) close() {
	if p.file != nil {
		_ = p.file.Close()
		p.file = nil
	}
}

// adoptSpare takes over what the process before could not write into the database. The token is held.
func (s *Store) adoptSpare() {
	held, found := s.spare.load()
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mem
	s.spare.filled = found // what is old is cleared as well: another database would not know that it is
	if !found || held.Number <= m.spared {
		return
	}
	for key, data := range held.States {
		m.setState(stateRow{key, data})
		m.dirty.states[key] = struct{}{}
		m.along[key] = struct{}{}
	}
	for name, place := range held.Cursors {
		row := m.cursors[name]
		row.exporter, row.pos = name, max(row.pos, place.Pos)
		if place.State != nil {
			row.state = place.State
		}
		m.cursors[name] = row
		m.dirty.cursors[name] = struct{}{}
		m.next = max(m.next, row.pos+1)
	}
	m.spared, m.dirty.meta, s.spare.going = held.Number, true, true
	s.log.Warn("the process before could not write the database; what it kept of alerts is taken over from the spare file",
		"path", s.spare.path, "states", len(held.States), "exporters", len(held.Cursors))
}

// saveSpare puts into the spare file what the database lacks, where something of that changed. The token is held.
func (s *Store) saveSpare(durable bool) {
	p := &s.spare
	s.mu.Lock()
	m := &s.mem
	urgent := m.urgent
	m.urgent = false
	if durable {
		clear(m.along)
		s.mu.Unlock()
		p.going = false // whether or not the file can be cleared: what comes now counts beside what the database knows
		p.clear()
		return
	}
	if !urgent {
		s.mu.Unlock()
		return
	}
	if !p.going { // an episode begins; a clock that was set back counts on
		m.spared, p.going = max(m.spared+1, time.Now().UnixMicro()), true
	}
	held := m.toSpare()
	s.mu.Unlock()
	err := p.write(held)
	if err != nil {
		s.mu.Lock()
		m.urgent = true // the next write tries again
		s.mu.Unlock()
		if !p.said {
			s.log.Error("alerts of now are lost if the process ends before the store writes again", "error", err)
		}
	}
	p.said = err != nil
}

// toSpare is what the database does not have, as much as there is room for: the states that came along with records first,
// then the smallest of exporters, which are those of notifiers.
func (m *memory) toSpare() spared {
	held := spared{Number: m.spared, States: map[string][]byte{}, Cursors: map[string]sparedPlace{}}
	room := spareSize / 4 * 3 * 9 / 10 // base64 makes four bytes of three
	fits := func(size int) bool {
		if size < room {
			room -= size
			return true
		}
		return false
	}
	for key := range m.along {
		if fits(len(key) + len(m.states[key]) + 16) {
			held.States[key] = m.states[key]
		}
	}
	rows := make([]cursorRow, 0, len(m.dirty.cursors))
	for name := range m.dirty.cursors {
		rows = append(rows, m.cursors[name])
	}
	slices.SortFunc(rows, func(a, b cursorRow) int { return cmp.Compare(len(a.state), len(b.state)) })
	for _, row := range rows {
		if fits(len(row.exporter) + len(row.state) + 64) {
			held.Cursors[row.exporter] = sparedPlace{row.pos, row.state}
		}
	}
	return held
}
