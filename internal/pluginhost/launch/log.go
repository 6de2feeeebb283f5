package launch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log" //nolint:depguard // hclog.Logger has it
	"log/slog"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// pluginLog is the name that go-plugin gives the logger of the plugin's own lines, apart from its own.
const pluginLog = "windsock-plugin-log"

// adapter is go-plugin's logger. What the plugin logs goes to the agent's log, with the plugin's text as a value: a plugin
// cannot speak as the agent does. What go-plugin itself has to say is left out: the launcher tells the same, once.
type adapter struct {
	log  *slog.Logger // nil: this is go-plugin's own
	root *slog.Logger
	name string
}

func newAdapter(root *slog.Logger) *adapter { return &adapter{root: root} }

// Log writes one line.
func (a *adapter) Log(level hclog.Level, msg string, args ...any) {
	if a.log == nil {
		return
	}
	to := slogLevel(level)
	if !a.log.Enabled(context.Background(), to) {
		return
	}
	attrs := []slog.Attr{slog.String("line", clip(trimLevel(msg), maxLine))}
	var fields []any
	for i := 0; i+1 < len(args); i += 2 {
		key := fmt.Sprint(args[i])
		if key == "timestamp" || key == "" {
			continue
		}
		fields = append(fields, slog.String(clip(key, 64), clip(fmt.Sprint(args[i+1]), 1024)))
	}
	if len(fields) > 0 {
		attrs = append(attrs, slog.Group("fields", fields...))
	}
	a.log.LogAttrs(context.Background(), to, "plugin log", attrs...)
}

// trimLevel takes away the prefix by which go-plugin knew the level.
func trimLevel(msg string) string {
	for _, prefix := range []string{"[TRACE]", "[DEBUG]", "[INFO]", "[WARN]", "[ERROR]"} {
		if rest, ok := strings.CutPrefix(msg, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return msg
}

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Error:
		return slog.LevelError
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Info, hclog.NoLevel:
		return slog.LevelInfo
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Trace, hclog.Off:
		return slog.LevelDebug - 4
	}
	return slog.LevelDebug
}

// The methods below are hclog.Logger.

func (a *adapter) Trace(msg string, args ...any) { a.Log(hclog.Trace, msg, args...) }
func (a *adapter) Debug(msg string, args ...any) { a.Log(hclog.Debug, msg, args...) }
func (a *adapter) Info(msg string, args ...any)  { a.Log(hclog.Info, msg, args...) }
func (a *adapter) Warn(msg string, args ...any)  { a.Log(hclog.Warn, msg, args...) }
func (a *adapter) Error(msg string, args ...any) { a.Log(hclog.Error, msg, args...) }

func (a *adapter) IsTrace() bool { return a.GetLevel() <= hclog.Trace }
func (a *adapter) IsDebug() bool { return a.GetLevel() <= hclog.Debug }
func (a *adapter) IsInfo() bool  { return a.GetLevel() <= hclog.Info }
func (a *adapter) IsWarn() bool  { return a.GetLevel() <= hclog.Warn }
func (a *adapter) IsError() bool { return a.GetLevel() <= hclog.Error }

func (a *adapter) ImpliedArgs() []any               { return nil }
func (a *adapter) With(...any) hclog.Logger         { return a }
func (a *adapter) Name() string                     { return a.name }
func (a *adapter) SetLevel(hclog.Level)             {}
func (a *adapter) ResetNamed(n string) hclog.Logger { return a.Named(n) }

// Named tells the plugin's own lines from go-plugin's.
func (a *adapter) Named(name string) hclog.Logger {
	if name == pluginLog {
		return &adapter{log: a.root, root: a.root, name: name}
	}
	return &adapter{root: a.root, name: name}
}

// GetLevel lets go-plugin leave out the reading of lines that nobody wants.
func (a *adapter) GetLevel() hclog.Level {
	if a.log == nil {
		return hclog.Off
	}
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn} {
		if a.log.Enabled(context.Background(), slogLevel(level)) {
			return level
		}
	}
	return hclog.Error
}

func (a *adapter) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(io.Discard, "", 0)
}

func (a *adapter) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return io.Discard }

// printed is what a plugin in Go prints after its handshake: go-plugin brings it over gRPC, in pieces.
type printed struct {
	stream string
	gate   *gate
	log    *slog.Logger
	scrub  func(string) string
	rest   []byte
}

// Write logs the whole lines, as fast as the gate lets them. It is called by one goroutine.
func (w *printed) Write(p []byte) (int, error) {
	rest := append(w.rest, p...)
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found && len(rest) < maxLine {
			w.rest = bytes.Clone(rest) // the piece that it was cut from may have 4 MiB
			return len(p), nil
		}
		rest = after
		if ok, dropped := w.gate.pass(time.Now()); ok {
			w.log.Info("plugin printed", "stream", w.stream, "line", clip(w.scrub(string(line)), maxLine), "dropped", dropped)
		}
	}
}
