// Package datadog sends records to the Datadog Agent over DogStatsD: gauges and counts with the runs' own timestamps, a
// service check per check and an event per alert transition. It makes one attempt per batch and never retries. Over a
// Unix socket an accepted batch was taken by the Agent; over UDP nobody can say so.
package datadog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const doc = "Sends every result to the Datadog Agent over DogStatsD, by Unix socket or UDP: gauges and counts with the runs' " +
	"own timestamps, a service check per check and per alert, and an event per alert transition."

// What Datadog takes. Older metrics and events, and service checks that would speak of the past as of now, are not sent.
const (
	metricAge  = time.Hour
	checkAge   = 10 * time.Minute
	eventAge   = 18 * time.Hour
	metricLead = 10 * time.Minute // into the future
)

// ReasonTooOld is the reason of rejections of records of which nothing was young enough to be sent.
const ReasonTooOld = "too_old"

// ReasonTooLarge is the reason of rejections of records of which nothing fits into a packet.
const ReasonTooLarge = "too_large"

// Kind is the exporter kind "datadog".
func Kind() exporters.Kind {
	return exporters.NewKind("datadog", doc, Params{Timeout: 5 * time.Second},
		func(p Params, env exporters.Env) (exporters.Exporter, error) {
			e, err := New(p, env)
			if err != nil {
				return nil, err
			}
			return e, nil
		})
}

// Exporter is an exporters.Exporter for the Datadog Agent. Make one with New. It is not safe for concurrent use.
type Exporter struct {
	log      *slog.Logger
	params   Params
	labels   []string // tags on everything
	runbooks string   // where the pages of the runbook are
	global   []string // the same, after those that datadog-go adds by itself
	wire     *wire
	packet   int
	client   *statsd.Client // nil until the first batch
	dropped  uint64         // packets, as the client counts them
	faults   *faults
	state    []byte // as handed over, until the first batch
	ledger   *ledger

	tags  map[exporters.Attr]string // made before
	names map[string]string         // of metrics, by ours
}

// New resolves the parameters, and the DD_* variables where a parameter is absent. It connects to nothing.
func New(p Params, env exporters.Env) (*Exporter, error) {
	getenv := env.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	addr, err := p.address(getenv)
	if err != nil {
		return nil, err
	}
	packet := p.MaxMessageBytes
	if packet == 0 {
		packet = socketPacket
		if addr.udp() {
			packet = udpPacket
		}
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	via, _ := env.Network.(network)
	return &Exporter{
		runbooks: env.Runbooks,
		log:      log, params: p, labels: globalTags(p, env.Labels, getenv), wire: &wire{addr: addr, via: via}, packet: packet,
		faults: &faults{}, state: env.State, tags: map[exporters.Attr]string{}, names: map[string]string{},
	}, nil
}

// Export sends the batch and waits until the socket has taken the last packet. A batch that failed half-way comes again as
// a whole: metrics are then the same values of the same seconds, events and service checks can come twice.
func (e *Exporter) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if len(batch) == 0 {
		return exporters.Outcome{}, nil
	}
	if err := e.open(); err != nil {
		return exporters.Outcome{}, exporters.Hold(err)
	}
	stop := e.wire.begin(ctx, e.params.Timeout)
	defer stop()
	_ = e.faults.take() // of the attempt before
	next := e.ledger.next(batch)
	b := newBatch(e, next, time.Now())
	for i := range batch {
		b.record(&batch[i])
	}
	b.counts()
	if err := e.finish(b); err != nil {
		return exporters.Outcome{}, err
	}
	out := exporters.Outcome{Rejected: b.rejected, RejectedPoints: b.tooLarge + b.tooOld, State: next.encode()}
	e.ledger.done(batch, next)
	if len(b.rejected) > 0 || b.tooLarge > 0 || b.tooOld > 0 {
		e.log.Warn("not all could be sent", "rejected", len(b.rejected), "too_large_points", b.tooLarge, "too_old_points", b.tooOld)
	}
	return out, nil
}

// finish sends what is buffered and says whether everything went out.
func (e *Exporter) finish(b *batch) error {
	flushErr := e.client.Flush()
	b.sendFractions()
	err := e.wire.end()
	told := e.faults.take()
	count := e.client.GetTelemetry().TotalPayloadsDropped
	dropped := count - e.dropped
	e.dropped = count
	switch {
	case err != nil:
		return e.wire.judge(err)
	case flushErr != nil:
		return e.wire.judge(flushErr)
	case told != nil:
		return e.wire.judge(told)
	case dropped > 0:
		return exporters.Retry(fmt.Errorf("sending to %s: %d packets were dropped before the socket", e.wire.addr, dropped), 0)
	}
	return nil
}

// open makes the client, loads the state, and finds out which tags datadog-go adds by itself: it reads DD_ENV, DD_SERVICE,
// DD_VERSION and DD_ENTITY_ID from the process and cannot be told not to.
func (e *Exporter) open() error {
	if e.client != nil {
		return nil
	}
	kept, err := loadSeconds(e.state)
	if err != nil {
		e.log.Error("counts of the latest seconds are unreadable and start again", "error", err)
		kept = newSeconds()
	}
	probe, err := e.newClient(nil)
	if err != nil {
		return err
	}
	var sample []byte
	e.wire.listen(func(packet []byte) { sample = bytes.Clone(packet) })
	_ = probe.Gauge("x", 0, nil, 1)
	_ = probe.Flush()
	_ = probe.Close()
	e.wire.listen(nil)
	own := libraryTags(string(sample))
	ours := without(e.labels, own)
	if e.client, err = e.newClient(ours); err != nil {
		return err
	}
	e.global = slices.Concat(ours, own) // in the client's order
	e.ledger, e.state = &ledger{now: kept}, nil
	return nil
}

// libraryTags reads the tags of "x:0|g|#a:b,c:d\n".
func libraryTags(line string) []string {
	_, tags, found := strings.Cut(strings.TrimSpace(line), "|#")
	if !found {
		return nil
	}
	tags, _, _ = strings.Cut(tags, "|")
	return strings.Split(tags, ",")
}

// newClient makes a client of one worker that aggregates nothing, tells nothing about itself and sends when it is told to.
func (e *Exporter) newClient(tags []string) (*statsd.Client, error) {
	origin := statsd.WithoutOriginDetection()
	if e.params.OriginDetection {
		origin = statsd.WithOriginDetection()
	}
	client, err := statsd.NewWithWriter(e.wire, origin,
		statsd.WithTags(tags), statsd.WithMutexMode(), statsd.WithWorkersCount(1),
		statsd.WithoutClientSideAggregation(), statsd.WithoutTelemetry(), statsd.WithErrorHandler(e.faults.add),
		statsd.WithBufferFlushInterval(24*time.Hour), statsd.WithMaxBytesPerPayload(e.packet),
		statsd.WithBufferPoolSize(4), statsd.WithSenderQueueSize(2*linesPerFlush),
		statsd.WithCardinality(statsd.CardinalityNotSet),
	)
	if err != nil {
		return nil, fmt.Errorf("making the DogStatsD client: %w", err)
	}
	return client, nil
}

// Sockets implements exporters.Local.
func (e *Exporter) Sockets() []string {
	if e.wire.addr.udp() {
		return nil
	}
	return []string{e.wire.addr.target}
}

// Close closes the socket. What was accepted was sent; nothing waits.
func (e *Exporter) Close() error {
	if e.client == nil {
		return nil
	}
	err := e.client.Close()
	e.client = nil
	if err != nil {
		return fmt.Errorf("closing %s: %w", e.wire.addr, err)
	}
	return nil
}

// faults collects what the client tells from its own goroutine.
type faults struct {
	mu    sync.Mutex // guards first
	first error
}

func (f *faults) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
	}
}

func (f *faults) take() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.first
	f.first = nil
	return err
}
