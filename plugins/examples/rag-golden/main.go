// The rag-golden plugin grades the answers of a team's RAG endpoint against a golden question set. README.md shows how to
// try it.
package main

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/plugins/examples/rag-golden/golden"
	"github.com/windsock-monitor/windsock/plugins/sdk"
)

func main() {
	measurements := make([]sdk.Measurement, 0, len(golden.Measurements()))
	for _, m := range golden.Measurements() {
		measurements = append(measurements, sdk.Measurement{Name: m.Name, Unit: m.Unit, Description: m.Description})
	}
	sdk.Serve(sdk.Plugin{
		Name: "rag", Version: "1.0.0", Homepage: "https://github.com/windsock-monitor/windsock/tree/main/plugins/examples/rag-golden",
		Summary: "Grades the answers of a RAG endpoint against a golden question set.",
		Checks:  []checks.Kind{golden.Kind()},
		Declare: map[string]sdk.Declaration{
			"golden": {Measurements: measurements, MinInterval: time.Minute, DefaultTimeout: 2 * time.Minute},
		},
	})
}
