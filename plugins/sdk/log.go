package sdk

import (
	"io"
	"log/slog"
	"strings"
)

const mostText = 16 << 10 // bytes of one value of a log line: the agent reads lines of 64 KiB

// newLogger writes JSON lines with the keys by which the agent reads a plugin's standard error.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: renamed}))
}

func renamed(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindString && len(a.Value.String()) > mostText {
		a.Value = slog.StringValue(strings.ToValidUTF8(a.Value.String()[:mostText], "") + "…")
	}
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		if a.Value.Kind() == slog.KindTime {
			return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
		}
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String("@level", word(level))
		}
	case slog.MessageKey:
		a.Key = "@message"
	default:
		if strings.HasPrefix(a.Key, "@") { // an attribute must not pass for the line's own
			a.Key = "_" + a.Key
		}
	}
	return a
}

func word(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "trace"
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}
