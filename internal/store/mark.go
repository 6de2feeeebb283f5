package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

const (
	markName = "windsock.mark"
	markSize = 4096
)

// page is what is known outside the database: enough to go on after the database was lost, and to keep the money's memory
// while the database cannot be written.
type page struct {
	Version         int                      `json:"version"`
	Instance        string                   `json:"instance"`
	BootID          string                   `json:"boot_id"`
	Position        delivery.Position        `json:"position"` // the last one given
	Clean           bool                     `json:"clean"`    // the database was closed well
	AssumedAt       int64                    `json:"assumed_at,omitempty"`
	UnrecordedSince int64                    `json:"unrecorded_since,omitempty"` // spending that only Hours knows
	Hours           map[int64]checks.PicoUSD `json:"hours,omitempty"`            // spent and reserved, by hour of the epoch
	Days            map[int64]checks.PicoUSD `json:"days,omitempty"`             // and by day
	BootedAt        int64                    `json:"booted_at,omitempty"`        // when the host was booted, by the wall clock that the entries follow
	Shifted         int64                    `json:"shifted,omitempty"`          // what all entries were moved by since there is a ledger
}

// mark is a file of one page that is allocated once and then written in place, so that it needs no room on a full disk.
type mark struct {
	path string

	mu     sync.Mutex // guards what follows
	f      *os.File
	page   page
	text   []byte // what stands in the file
	used   int    // so much of it is not blank
	err    error  // of the last write
	closed bool
}

// load reads the page; false where there is none that can be trusted.
func (m *mark) load() (page, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = errors.New("the spend marker was not written yet")
	text, err := os.ReadFile(m.path)
	if err != nil || len(text) < 10 {
		return page{}, false
	}
	sum, body, found := bytes.Cut(bytes.TrimRight(text, " \n"), []byte(" "))
	if !found || string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) {
		return page{}, false
	}
	if json.Unmarshal(body, &m.page) != nil || m.page.Version != 1 {
		m.page = page{}
		return page{}, false
	}
	return m.page, true
}

// write changes the page and puts it in place; the page cache has it then, the disk only after sync.
func (m *mark) write(change func(*page)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.page)
	m.page.Version = 1
	m.err = m.put()
	return m.err
}

func (m *mark) put() error {
	body, err := json.Marshal(m.page)
	if err != nil {
		return fmt.Errorf("encoding the spend marker: %w", err)
	}
	if len(body)+len("01234567 \n") > markSize {
		return fmt.Errorf("the spend marker does not fit its page: %d bytes", len(body))
	}
	if m.text == nil {
		m.text = bytes.Repeat([]byte(" "), markSize)
		m.text[markSize-1] = '\n'
	}
	text := fmt.Appendf(m.text[:0], "%08x ", crc32.ChecksumIEEE(body))
	text = append(text, body...)
	for i := len(text); i < m.used; i++ { // what is left of a longer one
		m.text[i] = ' '
	}
	m.used = len(text)
	if m.closed {
		return errors.New("the spend marker is closed")
	}
	if m.f == nil {
		if m.f, err = openOwn(m.path); err != nil {
			m.f = nil
			return fmt.Errorf("opening the spend marker: %w", err)
		}
	}
	if _, err := m.f.WriteAt(m.text, 0); err != nil {
		return fmt.Errorf("writing the spend marker: %w", err)
	}
	return nil
}

// sync forces the page to the disk.
func (m *mark) sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f == nil {
		return m.err
	}
	if err := m.f.Sync(); err != nil {
		m.err = fmt.Errorf("syncing the spend marker: %w", err)
	}
	return m.err
}

func (m *mark) works() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err == nil
}

func (m *mark) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.f != nil {
		_ = m.f.Close()
		m.f = nil
	}
}
