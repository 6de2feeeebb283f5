package agent

import (
	"io"
	"log/slog"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/status"
)

// checkPages refuses exporters whose page nobody could read: the listener is off, or the path is another's.
func checkPages(cfg *config.Config, registry config.Registry) error {
	owners := map[string]string{}
	for i := range cfg.Exporters {
		e := &cfg.Exporters[i]
		path := pageOf(e, registry)
		if path == "" {
			continue
		}
		var err error
		switch owner := owners[path]; {
		case cfg.Listen == "":
			err = checks.Invalid("", "the page of exporter %q cannot be served: `listen` is off", e.Name)
		case status.Owns(path):
			err = checks.Invalid("path", "%q is a page of the agent's own, want another path", path)
		case owner != "":
			err = checks.Invalid("path", "%q is the page of exporter %q already, want another path", path, owner)
		}
		if err != nil {
			return e.Place(err)
		}
		owners[path] = e.Name
	}
	return nil
}

// pageOf is the path of an exporter's page; "" where it has none, or cannot be built without its surroundings.
func pageOf(e *config.Exporter, registry config.Registry) string {
	at := slices.IndexFunc(registry.Exporters, func(k exporters.Kind) bool { return k.Name == e.Kind })
	if at < 0 {
		return ""
	}
	built, err := registry.Exporters[at].New(e.With, exporters.Env{
		Log: slog.New(slog.DiscardHandler), Name: e.Name, Stdout: discard{}, Probing: true,
	})
	if err != nil {
		return ""
	}
	path := ""
	if h, ok := built.(exporters.Handler); ok {
		path, _ = h.Handler()
	}
	if c, ok := built.(io.Closer); ok {
		_ = c.Close()
	}
	return path
}
