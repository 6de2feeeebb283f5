// Command plugin is what the load program measures plugins with: a check and an exporter that do nothing, so that what a run
// and a batch cost is the way there and back. Its name is that of its file, so that one file can be many plugins. It is no
// part of the product.
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/plugins/sdk"
)

type params struct{}

// sink takes everything.
type sink struct{}

// Export implements exporters.Exporter.
func (sink) Export(context.Context, []checks.Record) (exporters.Outcome, error) {
	return exporters.Outcome{}, nil
}

func main() {
	check := checks.NewKind("noop", "Answers.", params{}, func(params, checks.Env) (checks.Check, error) {
		return checks.Func(func(context.Context) (checks.Result, error) {
			return checks.Result{Status: checks.OK, Summary: "nothing was asked", Measurements: []checks.Measurement{{Name: "noop.value", Value: 1}}}, nil
		}), nil
	})
	exporter := exporters.NewKind("null", "Takes everything.", params{}, func(params, exporters.Env) (exporters.Exporter, error) {
		return sink{}, nil
	})
	sdk.Serve(sdk.Plugin{
		Name: filepath.Base(os.Args[0]), Version: "1.0.0", Summary: "Does nothing.",
		Checks: []checks.Kind{check}, Exporters: []exporters.Kind{exporter},
		Declare: map[string]sdk.Declaration{"noop": {Measurements: []sdk.Measurement{{Name: "noop.value"}}}, "null": {}},
	})
}
