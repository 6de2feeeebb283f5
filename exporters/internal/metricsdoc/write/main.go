// Command write writes docs/metrics.md. Run it through go generate, in exporters/.
package main

import (
	"os"

	"github.com/windsock-monitor/windsock/exporters/internal/metricsdoc"
)

func main() {
	if err := os.WriteFile("../docs/metrics.md", []byte(metricsdoc.Page()), 0o644); err != nil { //nolint:gosec // for everybody to read
		panic(err)
	}
}
