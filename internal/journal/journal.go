// Package journal brings the agent's log to journald by its native protocol, so that `journalctl CHECK=chat-small` works.
// A record becomes MESSAGE, which says all by itself, PRIORITY, SYSLOG_IDENTIFIER and the fields of Fields. It may not hold
// the agent up for longer than a moment, send what was not scrubbed, or let what a plugin or a server says name a field.
package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Socket is where journald takes datagrams.
const Socket = "/run/systemd/journal/socket"

// Bounds on what is sent: a datagram of all of them is below what a socket takes by default.
const (
	mostMessage = 16 << 10 // bytes of MESSAGE
	mostValue   = 2 << 10  // bytes of any other field
	mostWord    = 8 << 10  // bytes of one value in MESSAGE
)

// Fields are the journal's fields by the key of the attribute that they are made of. Other attributes stand in MESSAGE only:
// who chooses a key must not choose a field.
func Fields() map[string]string {
	out := map[string]string{}
	for _, key := range []string{
		"check", "run_id", "status", "cause", "blame", "provider", "exporter", "rule", "severity", "state", "incident", "plugin", "part",
		"kind", "reason", "error",
	} {
		out[key] = strings.ToUpper(key)
	}
	return out
}

// Connected reports whether file is what systemd connected to the journal, by the value of $JOURNAL_STREAM, "device:inode".
func Connected(stream string, file *os.File) bool {
	var device, inode uint64
	if _, err := fmt.Sscanf(stream, "%d:%d", &device, &inode); err != nil {
		return false
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	var same bool
	err = raw.Control(func(fd uintptr) {
		var stat unix.Stat_t
		same = unix.Fstat(int(fd), &stat) == nil && uint64(stat.Dev) == device && stat.Ino == inode //nolint:unconvert // narrower on other systems
	})
	return err == nil && same
}

// Options are what a Handler needs.
type Options struct {
	Level  slog.Leveler             // the least that is logged; nil is info
	Scrub  func(text string) string // takes secrets out
	Else   *os.File                 // gets MESSAGE, after "<PRIORITY>", where the journal does not take it
	Socket string                   // "" is Socket
}

// Handler is a slog.Handler that writes to the journal. It is safe for concurrent use.
type Handler struct {
	o      Options
	out    *sender
	known  map[string]string
	dress  []func(slog.Handler) slog.Handler // WithAttrs and WithGroup, in their order
	fields map[string]string                 // of the attributes of WithAttrs, scrubbed
	group  bool                              // attributes are in a group from here on, and name no field
}

// New makes a Handler. It connects when there is something to write.
func New(o Options) *Handler {
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	if o.Socket == "" {
		o.Socket = Socket
	}
	return &Handler{o: o, out: &sender{socket: o.Socket, or: o.Else}, known: Fields(), fields: map[string]string{}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.o.Level.Level()
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
	for _, a := range attrs {
		out.note(out.fields, a)
	}
	return out
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	out := h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
	out.group = h.group || name != ""
	return out
}

func (h *Handler) with(dress func(slog.Handler) slog.Handler) *Handler {
	out := *h
	out.dress, out.fields = append(slices.Clip(h.dress), dress), maps.Clone(h.fields)
	return &out
}

// Handle implements slog.Handler. It returns no error: nobody could log it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	fields := maps.Clone(h.fields)
	r.Attrs(func(a slog.Attr) bool { h.note(fields, a); return true })
	fields["MESSAGE"] = clip(h.o.Scrub(h.message(ctx, r)), mostMessage)
	fields["PRIORITY"] = priority(r.Level)
	fields["SYSLOG_IDENTIFIER"] = "windsock"
	h.out.send(fields)
	return nil
}

// note makes a field of an attribute, where it is one of Fields.
func (h *Handler) note(fields map[string]string, a slog.Attr) {
	field := h.known[a.Key]
	if field == "" || h.group || a.Value.Resolve().Kind() == slog.KindGroup {
		return
	}
	if value := h.o.Scrub(a.Value.Resolve().String()); value != "" {
		fields[field] = clip(value, mostValue)
	}
}

// message is what a person reads: the words of the log as text, without the time and the level, which the journal has.
func (h *Handler) message(ctx context.Context, r slog.Record) string {
	var buffer bytes.Buffer
	var text slog.Handler = slog.NewTextHandler(&buffer, &slog.HandlerOptions{Level: slog.Level(-1 << 10), ReplaceAttr: h.replace})
	for _, dress := range h.dress {
		text = dress(text)
	}
	words := r.Message
	r = r.Clone()
	r.Message = ""
	if err := text.Handle(ctx, r); err != nil {
		return words + " !" + err.Error()
	}
	return strings.TrimSpace(words + " " + buffer.String())
}

// replace leaves out what slog puts before the attributes, and bounds what is too long, after it was scrubbed: a part of a
// secret is not known again.
func (h *Handler) replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		_, level := a.Value.Any().(slog.Level)
		if level || a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime || a.Key == slog.MessageKey && a.Value.String() == "" {
			return slog.Attr{}
		}
	}
	if text, ok := a.Value.Any().(string); ok && len(text) > mostWord {
		return slog.String(a.Key, clip(h.o.Scrub(text), mostWord))
	}
	return a
}

// priority is syslog's, after the level.
func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "3"
	case level >= slog.LevelWarn:
		return "4"
	case level >= slog.LevelInfo:
		return "6"
	}
	return "7"
}

// clip bounds a text, and makes it UTF-8: of anything else journalctl shows the length only.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= most {
		return text
	}
	cut := most - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
