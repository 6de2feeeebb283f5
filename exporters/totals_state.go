package exporters

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// The form of the state, version 1: "WTOT", version, then in uvarints and 8-byte floats: start (Unix nanoseconds), a
// table of strings, a table of bucket bounds, the series by index into both; CRC-32C at the end.
const (
	stateMagic   = "WTOT"
	stateVersion = 1
	stateTail    = 4
)

var errState = errors.New("totals are corrupt")

// Encode is the totals as bytes, the same for the same history. LoadTotals reads them.
func (t *Totals) Encode() []byte {
	if t.heads == nil {
		t.heads = &heads{strings: map[string]uint64{}}
	}
	h := t.heads
	h.cover(t.series)
	out := make([]byte, 0, t.encoded+t.encoded/16+1024)
	out = append(out, stateMagic...)
	out = append(out, stateVersion)
	out = binary.AppendVarint(out, t.start.UnixNano())
	out = binary.AppendUvarint(out, uint64(len(h.table)))
	for _, s := range h.table {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	out = binary.AppendUvarint(out, uint64(len(h.bounds)))
	for _, bounds := range h.bounds {
		out = binary.AppendUvarint(out, uint64(len(bounds)))
		for _, b := range bounds {
			out = appendFloat(out, b)
		}
	}
	out = binary.AppendUvarint(out, uint64(len(t.series)))
	for i, s := range t.series {
		out = appendSeries(append(out, h.heads[i].wire...), s, h.heads[i].scale)
	}
	out = binary.LittleEndian.AppendUint32(out, checksum(out))
	t.encoded = len(out)
	return out
}

func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// heads is what never changes of each series: its words, as they are written. Totals and their clones share it, for the
// series of all of them begin alike. A clone that is thrown away may leave heads of series that another one does not have.
type heads struct {
	heads   []head
	strings map[string]uint64
	table   []string
	bounds  [][]float64
}

// head is one series' words.
type head struct {
	name   string
	attrs  []Attr
	wire   []byte
	scale  int // where its bounds stand, of a histogram
	table  int // length of the table after it
	bounds int // and of the bounds
}

// cover makes the heads those of the series.
func (h *heads) cover(series []*Series) {
	n := 0
	for n < len(h.heads) && n < len(series) && h.heads[n].of(series[n]) {
		n++
	}
	h.cut(n)
	for _, s := range series[n:] {
		one := head{name: s.Name, attrs: s.Attrs, wire: h.words(s)}
		if s.Histogram != nil {
			one.scale = h.boundsRef(s.Histogram.Bounds)
		}
		one.table, one.bounds = len(h.table), len(h.bounds)
		h.heads = append(h.heads, one)
	}
}

// of reports whether it is the head of a series. The same series shares its words with itself at other times.
func (h *head) of(s *Series) bool {
	return h.name == s.Name && len(h.attrs) == len(s.Attrs) && (len(h.attrs) == 0 || &h.attrs[0] == &s.Attrs[0])
}

// cut forgets all heads but the first n, and the words that only they had.
func (h *heads) cut(n int) {
	if n == len(h.heads) {
		return
	}
	table, bounds := 0, 0
	if n > 0 {
		table, bounds = h.heads[n-1].table, h.heads[n-1].bounds
	}
	for _, word := range h.table[table:] {
		delete(h.strings, word)
	}
	h.heads, h.table, h.bounds = h.heads[:n], h.table[:table], h.bounds[:bounds]
}

func (h *heads) ref(out []byte, s string) []byte {
	i, ok := h.strings[s]
	if !ok {
		i = uint64(len(h.table))
		h.strings[s] = i
		h.table = append(h.table, s)
	}
	return binary.AppendUvarint(out, i)
}

func (h *heads) boundsRef(bounds []float64) int {
	i := slices.IndexFunc(h.bounds, func(b []float64) bool { return slices.Equal(b, bounds) })
	if i < 0 {
		i = len(h.bounds)
		h.bounds = append(h.bounds, bounds)
	}
	return i
}

func (h *heads) words(s *Series) []byte {
	out := make([]byte, 0, 4+4*len(s.Attrs)+4)
	out = append(out, byte(s.Kind))
	out = h.ref(out, s.Name)
	out = h.ref(out, s.Unit)
	out = binary.AppendUvarint(out, uint64(len(s.Attrs)))
	for _, a := range s.Attrs {
		out = h.ref(out, a.Key)
		out = h.ref(out, a.Value)
	}
	return out
}

// appendSeries appends what changes of a series.
func appendSeries(out []byte, s *Series, bounds int) []byte {
	out = binary.AppendVarint(out, s.Last.UnixNano())
	h := s.Histogram
	if h == nil {
		return appendFloat(out, s.Value)
	}
	out = binary.AppendUvarint(out, uint64(bounds))
	out = appendFloat(out, h.Sum)
	out = appendFloat(out, h.Min)
	out = appendFloat(out, h.Max)
	for _, n := range h.Buckets {
		out = binary.AppendUvarint(out, n)
	}
	return out
}

func appendFloat(out []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(out, math.Float64bits(f))
}

// LoadTotals reads what Encode wrote. Without state the totals are new, from start. State that is corrupt, of a version
// that is not known, or of other bucket bounds than the catalogue's is an error: begin anew, from now.
func LoadTotals(state []byte, start time.Time, maxSeries int) (*Totals, error) {
	if len(state) == 0 {
		return NewTotals(start, maxSeries), nil
	}
	if len(state) < len(stateMagic)+1+stateTail || string(state[:len(stateMagic)]) != stateMagic {
		return nil, fmt.Errorf("reading totals: %w: no mark", errState)
	}
	if v := state[len(stateMagic)]; v != stateVersion {
		return nil, fmt.Errorf("reading totals: version %d, want %d", v, stateVersion)
	}
	body := state[:len(state)-stateTail]
	if binary.LittleEndian.Uint32(state[len(body):]) != checksum(body) {
		return nil, fmt.Errorf("reading totals: %w: checksum", errState)
	}
	d := decoder{rest: body[len(stateMagic)+1:]}
	t := d.totals(maxSeries)
	if d.err == nil && len(d.rest) > 0 {
		d.fail("bytes after the end")
	}
	if d.err != nil {
		return nil, fmt.Errorf("reading totals: %w", d.err)
	}
	return t, nil
}

// decoder reads until the first fault; after it everything is zero.
type decoder struct {
	rest   []byte
	table  []string
	bounds [][]float64
	err    error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errState, what)
	}
	d.rest = nil
}

func (d *decoder) totals(maxSeries int) *Totals {
	t := NewTotals(time.Unix(0, d.varint()).UTC(), maxSeries)
	for range d.length(1) {
		d.table = append(d.table, string(d.bytes(d.length(1))))
	}
	for range d.length(1) {
		bounds := make([]float64, d.length(8))
		for i := range bounds {
			bounds[i] = d.float()
		}
		d.bounds = append(d.bounds, bounds)
	}
	for range d.length(1) {
		s := d.series(t.start)
		if d.err != nil {
			return nil
		}
		key := string(appendKey(nil, s.Name, s.Attrs))
		if _, twice := t.index[key]; twice {
			d.fail("a series twice")
			return nil
		}
		t.insert(s, key)
	}
	return t
}

func (d *decoder) series(start time.Time) *Series {
	s := &Series{Kind: PointKind(d.byte()), Name: d.string(), Unit: d.string(), Start: start}
	s.Attrs = make([]Attr, d.length(2))
	for i := range s.Attrs {
		s.Attrs[i] = Attr{d.string(), d.string()}
	}
	s.Last = time.Unix(0, d.varint()).UTC()
	switch s.Kind {
	case Counter:
		s.Value = d.float()
	case Histogram:
		s.Histogram = d.histogram(s.Name)
	case Gauge:
		d.fail("a gauge")
	default:
		d.fail("an unknown kind")
	}
	return s
}

func (d *decoder) histogram(name string) *HistogramValue {
	i := d.uvarint()
	if i >= uint64(len(d.bounds)) {
		d.fail("bounds out of range")
		return nil
	}
	h := &HistogramValue{Bounds: d.bounds[i], Sum: d.float(), Min: d.float(), Max: d.float()}
	if m, ok := Lookup(name); !ok || !slices.Equal(m.Buckets, h.Bounds) {
		d.fail("bucket bounds are not the catalogue's")
		return nil
	}
	h.Buckets = make([]uint64, len(h.Bounds)+1)
	for i := range h.Buckets {
		h.Buckets[i] = d.uvarint()
		h.Count += h.Buckets[i]
	}
	return h
}

func (d *decoder) string() string {
	i := d.uvarint()
	if i >= uint64(len(d.table)) {
		d.fail("string out of range")
		return ""
	}
	return d.table[i]
}

// length reads the number of items to come, of at least size bytes each: more cannot be there.
func (d *decoder) length(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/size) {
		d.fail("length beyond the end")
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.fail("cut short")
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("cut short")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("cut short")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) float() float64 {
	b := d.bytes(8)
	if len(b) < 8 {
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		d.fail("a number that is not finite")
		return 0
	}
	return f
}
