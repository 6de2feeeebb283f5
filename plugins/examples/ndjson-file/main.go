// The ndjson-file plugin writes records to files, one line of JSON each. README.md shows how to try it.
package main

import (
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/plugins/examples/ndjson-file/ndjson"
	"github.com/windsock-monitor/windsock/plugins/sdk"
)

func main() {
	sdk.Serve(sdk.Plugin{
		Name: "ndjson", Version: "1.0.0", Homepage: "https://github.com/windsock-monitor/windsock/tree/main/plugins/examples/ndjson-file",
		Summary:   "Writes records to files as lines of JSON, each once.",
		Exporters: []exporters.Kind{ndjson.Kind()},
		Declare:   map[string]sdk.Declaration{"file": {}},
	})
}
