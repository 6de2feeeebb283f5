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
	e := encoder{strings: map[string]uint64{}}
	body := make([]byte, 0, 48*len(t.series))
	for _, s := range t.series {
		body = e.series(body, s)
	}
	out := make([]byte, 0, len(body)+e.size+64)
	out = append(out, stateMagic...)
	out = append(out, stateVersion)
	out = binary.AppendVarint(out, t.start.UnixNano())
	out = binary.AppendUvarint(out, uint64(len(e.table)))
	for _, s := range e.table {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	out = binary.AppendUvarint(out, uint64(len(e.bounds)))
	for _, bounds := range e.bounds {
		out = binary.AppendUvarint(out, uint64(len(bounds)))
		for _, b := range bounds {
			out = appendFloat(out, b)
		}
	}
	out = binary.AppendUvarint(out, uint64(len(t.series)))
	out = append(out, body...)
	return binary.LittleEndian.AppendUint32(out, checksum(out))
}

func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

type encoder struct {
	strings map[string]uint64
	table   []string
	bounds  [][]float64
	size    int
}

func (e *encoder) ref(out []byte, s string) []byte {
	i, ok := e.strings[s]
	if !ok {
		i = uint64(len(e.table))
		e.strings[s] = i
		e.table = append(e.table, s)
		e.size += len(s) + 3
	}
	return binary.AppendUvarint(out, i)
}

func (e *encoder) boundsRef(out []byte, bounds []float64) []byte {
	i := slices.IndexFunc(e.bounds, func(b []float64) bool { return slices.Equal(b, bounds) })
	if i < 0 {
		i = len(e.bounds)
		e.bounds = append(e.bounds, bounds)
		e.size += 8*len(bounds) + 3
	}
	return binary.AppendUvarint(out, uint64(i))
}

func (e *encoder) series(out []byte, s *Series) []byte {
	out = append(out, byte(s.Kind))
	out = e.ref(out, s.Name)
	out = e.ref(out, s.Unit)
	out = binary.AppendUvarint(out, uint64(len(s.Attrs)))
	for _, a := range s.Attrs {
		out = e.ref(out, a.Key)
		out = e.ref(out, a.Value)
	}
	out = binary.AppendVarint(out, s.Last.UnixNano())
	h := s.Histogram
	if h == nil {
		return appendFloat(out, s.Value)
	}
	out = e.boundsRef(out, h.Bounds)
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
