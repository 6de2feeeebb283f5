package drill

import (
	"context"
	"io"
	"maps"
	"net/http"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// unmarked is an exporter that adds alerts up in metrics, where those of drills have no place. In a world of its own a drill
// wants to see them there: it takes their mark away.
type unmarked struct{ exporters.Exporter }

// unmarkedPage is one that serves a page.
type unmarkedPage struct {
	unmarked
	page exporters.Handler
}

// Handler implements exporters.Handler.
func (u unmarkedPage) Handler() (pattern string, handler http.Handler) { return u.page.Handler() }

// unmarked takes the mark away from what only adds up: the exporters that also tell of alerts one by one keep it.
func (s *sink) unmarked(e exporters.Exporter) exporters.Exporter {
	page, serves := e.(exporters.Handler)
	switch {
	case serves:
		return unmarkedPage{unmarked{e}, page}
	case s.kind == "otel":
		return unmarked{e}
	}
	return e
}

// Export implements exporters.Exporter.
func (u unmarked) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	clean := make([]checks.Record, len(batch))
	for i := range batch {
		clean[i] = batch[i]
		if a := batch[i].Alert; a != nil && a.Drill() != "" {
			own := *a
			own.Labels = maps.Clone(a.Labels)
			delete(own.Labels, checks.LabelDrill)
			clean[i].Alert = &own
		}
	}
	return u.Exporter.Export(ctx, clean) //nolint:wrapcheck // its errors are a language of their own
}

// Close implements io.Closer.
func (u unmarked) Close() error {
	if c, ok := u.Exporter.(io.Closer); ok {
		return c.Close() //nolint:wrapcheck // as the exporter's own
	}
	return nil
}
