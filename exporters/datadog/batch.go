package datadog

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	serviceCheck = "windsock.check"
	maxMessage   = 500 // bytes of a service check's message
	// linesPerFlush keeps the client's queue of packets from overflowing: a line is at most a packet.
	linesPerFlush = 512
)

// batch is one batch on its way.
type batch struct {
	e        *Exporter
	seconds  *seconds
	now      time.Time
	index    int
	lines    int
	pending  []pendingCount
	places   map[string]int // of pending, by key
	fraction []byte
	attrs    []exporters.Attr // of the latest point
	tags     []string         // and its tags: the next point often has the same
	rejected []exporters.Rejection
	tooLarge int64
	tooOld   int64 // parts of records of which other parts were sent
}

// pendingCount is a count whose second may still grow.
type pendingCount struct {
	key, name string
	tags      []string
	at        time.Time
}

func newBatch(e *Exporter, next *seconds, now time.Time) *batch {
	return &batch{e: e, seconds: next, now: now, places: map[string]int{}}
}

// tally is what became of the parts of one record.
type tally struct{ sent, old, large int }

// record sends the parts of a record that are young enough. Counts wait for the end of the batch.
func (b *batch) record(rec *checks.Record) {
	var t tally
	for _, p := range exporters.Points(*rec) {
		switch age := b.now.Sub(p.At); {
		case age > metricAge, age < -metricLead:
			t.old++
		case p.Kind == exporters.Counter:
			b.count(&p)
			t.sent++
		default:
			b.did(&t, b.e.client.GaugeWithTimestamp(b.e.name(p.Name), p.Value, b.tagsOf(p.Attrs), 1, p.At))
		}
	}
	switch {
	case rec.Report != nil:
		b.serviceCheck(&t, rec)
	case rec.Alert != nil:
		b.event(&t, rec)
		b.alertCheck(&t, rec)
	}
	b.tooLarge += int64(t.large)
	if t.sent > 0 {
		b.tooOld += int64(t.old)
	}
	if t.sent == 0 && t.large > 0 {
		b.rejected = append(b.rejected, exporters.Rejection{Index: b.index, Reason: ReasonTooLarge})
	} else if t.sent == 0 && t.old > 0 {
		b.rejected = append(b.rejected, exporters.Rejection{Index: b.index, Reason: ReasonTooOld})
	}
	b.index++
}

// tagsOf are the tags of a point. They are not changed any more.
func (b *batch) tagsOf(attrs []exporters.Attr) []string {
	if len(attrs) == 0 {
		return nil
	}
	if len(attrs) == len(b.attrs) && &attrs[0] == &b.attrs[0] {
		return b.tags
	}
	all := make([]string, 0, len(attrs))
	for _, a := range attrs {
		if t := b.e.tag(a); t != "" {
			all = append(all, t)
		}
	}
	b.attrs, b.tags = attrs, tidy(all)
	return b.tags
}

// maxWords bounds what an exporter remembers of names and of tags each.
const maxWords = 4096

// tag is the tag of an attribute, made once for most of them.
func (e *Exporter) tag(a exporters.Attr) string {
	t, ok := e.tags[a]
	if !ok {
		if len(e.tags) >= maxWords {
			clear(e.tags)
		}
		t = tag(a.Key, a.Value)
		e.tags[a] = t
	}
	return t
}

// name is the name of a metric on the wire, made once for most of them.
func (e *Exporter) name(metric string) string {
	n, ok := e.names[metric]
	if !ok {
		if len(e.names) >= maxWords {
			clear(e.names)
		}
		n = metricName(e.params.Namespace, metric)
		e.names[metric] = n
	}
	return n
}

// did books a line that the client took, or that is too large for a packet. Other errors come out of the socket later.
func (b *batch) did(t *tally, err error) {
	if _, long := errors.AsType[statsd.MessageTooLongError](err); long {
		t.large++
		return
	}
	if err != nil {
		b.e.faults.add(err)
		return
	}
	t.sent++
	if b.lines++; b.lines%linesPerFlush == 0 {
		_ = b.e.client.Flush() // its errors go to faults
	}
}

// count adds an increment to its second.
func (b *batch) count(p *exporters.Point) {
	name, tags := b.e.name(p.Name), b.tagsOf(p.Attrs)
	key := b.seconds.add(name+"|"+strings.Join(tags, ","), p.At.Unix(), p.Value)
	if _, ok := b.places[key]; !ok {
		b.places[key] = len(b.pending)
		b.pending = append(b.pending, pendingCount{key, name, tags, p.At})
	}
}

// counts sends each second's count once, with all that is known of it.
func (b *batch) counts() {
	var t tally
	for _, c := range b.pending {
		value := b.seconds.Counts[c.key]
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			b.did(&t, b.e.client.CountWithTimestamp(c.name, int64(value), c.tags, 1, c.at))
		} else {
			b.fractionOf(c, value)
		}
	}
	b.tooLarge += int64(t.large)
}

// fractionOf writes a count that is no whole number, money, as a line of its own: the protocol takes it, datadog-go's
// counts are integers.
func (b *batch) fractionOf(c pendingCount, value float64) {
	line := make([]byte, 0, 256)
	line = append(line, c.name...)
	line = append(line, ':')
	line = strconv.AppendFloat(line, value, 'f', -1, 64)
	line = append(line, "|c"...)
	for i, t := range slices.Concat(b.e.global, c.tags) {
		line = append(line, map[bool]string{true: "|#", false: ","}[i == 0]...)
		line = append(line, t...)
	}
	line = append(line, "|T"...)
	line = strconv.AppendInt(line, c.at.Unix(), 10)
	line = append(line, '\n')
	if len(line) > b.e.packet {
		b.tooLarge++
		return
	}
	b.fraction = append(b.fraction, line...)
}

// sendFractions sends the lines of fractionOf in packets. Call it when the client has sent all of its own.
func (b *batch) sendFractions() {
	for rest := b.fraction; len(rest) > 0; {
		cut := len(rest)
		if cut > b.e.packet {
			cut = 1 + strings.LastIndexByte(string(rest[:b.e.packet]), '\n')
		}
		if _, err := b.e.wire.Write(rest[:cut]); err != nil {
			return // the wire keeps it
		}
		rest = rest[cut:]
	}
}

// serviceCheck says OK, WARNING, CRITICAL or UNKNOWN of the check. A failure that is being confirmed is none yet.
func (b *batch) serviceCheck(t *tally, rec *checks.Record) {
	r := rec.Report
	if !r.Final || r.Check == "" {
		return
	}
	at := r.At()
	if age := b.now.Sub(at); age > checkAge || age < -checkAge {
		t.old++
		return
	}
	b.did(t, b.e.client.ServiceCheck(&statsd.ServiceCheck{
		Name: b.named(serviceCheck), Status: verdict(r.Status), Timestamp: at, Message: message(r),
		Tags: b.tagsOf([]exporters.Attr{
			{Key: "check", Value: r.Check},
			{Key: "kind", Value: r.Kind},
			{Key: "location", Value: r.Location},
			{Key: "provider", Value: r.Provider},
		}),
	}))
}

func (b *batch) named(name string) string { return metricName(b.e.params.Namespace, name) }

func verdict(s checks.Status) statsd.ServiceCheckStatus {
	switch s {
	case checks.OK:
		return statsd.Ok
	case checks.Degraded:
		return statsd.Warn
	case checks.Failed:
		return statsd.Critical
	case checks.Unknown, checks.Error, checks.Skipped:
	}
	return statsd.Unknown
}

// message is one line without a pipe, which ends a field.
func message(r *checks.Report) string {
	text := r.Summary
	if r.Cause != checks.CauseNone {
		text = string(r.Cause) + ": " + text
	}
	return line(text, maxMessage)
}

func line(text string, limit int) string {
	return strings.ReplaceAll(exporters.Clean(text, limit), "|", "/")
}
