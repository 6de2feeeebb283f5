package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/journal"
)

// newLog makes the log of the agent on standard error: what the configuration asks for, and where it leaves that open the
// journal's own protocol if the journal is what stands behind, else text. Nothing gets there that is not scrubbed.
func newLog(p process, cfg config.Log) *slog.Logger {
	if cfg.Format == config.LogAuto {
		if to := journalOf(p, cfg.Level); to != nil {
			return slog.New(to)
		}
	}
	w, options := p.scrubber.Writer(p.stderr), &slog.HandlerOptions{Level: cfg.Level}
	if cfg.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// journalOf is the way into the journal, nil where that is not what systemd connected standard error to.
func journalOf(p process, level slog.Leveler) slog.Handler {
	file := journaled(p)
	if file == nil {
		return nil
	}
	return journal.New(journal.Options{Level: level, Scrub: p.scrubber.String, Else: file})
}

// journaled is standard error where the journal stands behind it, else nil.
func journaled(p process) *os.File {
	file, isFile := p.stderr.(*os.File)
	if !isFile || !journal.Connected(p.getenv("JOURNAL_STREAM"), file) {
		return nil
	}
	return file
}

// hushLibraries keeps what libraries print on their own off standard error: net/http quotes there what a server said, and
// OpenTelemetry the environment's headers, both of which may hold a key.
func hushLibraries() {
	quiet := slog.New(slog.DiscardHandler)
	slog.SetDefault(quiet)
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { quiet.Debug("opentelemetry", "error", err) }))
}

// lateHandler keeps what is logged before the configuration has said how, and passes on all that comes after.
type lateHandler struct {
	shared *lateLog
	dress  []func(slog.Handler) slog.Handler // With and WithGroup, in their order
}

type lateLog struct {
	mu   sync.Mutex // guards the rest
	to   slog.Handler
	kept []func() error
}

func newLateHandler() *lateHandler { return &lateHandler{shared: &lateLog{}} }

// settle writes what was kept to h, and makes h the handler of all that follows.
func (l *lateHandler) settle(h slog.Handler) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	l.shared.to = h
	for _, write := range l.shared.kept {
		_ = write()
	}
	l.shared.kept = nil
}

// Enabled implements slog.Handler. What is kept is judged later.
func (l *lateHandler) Enabled(ctx context.Context, level slog.Level) bool {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	return l.shared.to == nil || l.shared.to.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *lateHandler) Handle(ctx context.Context, r slog.Record) error {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if l.shared.to != nil {
		return l.write(ctx, r)
	}
	l.shared.kept = append(l.shared.kept, func() error { return l.write(ctx, r.Clone()) })
	return nil
}

// write is called with the lock held and the handler known.
func (l *lateHandler) write(ctx context.Context, r slog.Record) error {
	to := l.shared.to
	if !to.Enabled(ctx, r.Level) {
		return nil
	}
	for _, dress := range l.dress {
		to = dress(to)
	}
	return to.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return l.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (l *lateHandler) WithGroup(name string) slog.Handler {
	return l.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (l *lateHandler) with(dress func(slog.Handler) slog.Handler) slog.Handler {
	return &lateHandler{shared: l.shared, dress: append(slices.Clip(l.dress), dress)}
}
