// Command generate writes what is made of the configuration's structs: schedules.schema.json and the reference in
// docs/configuration.md. Run it with `go generate ./internal/config`.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/config"
)

func main() {
	root := flag.String("root", ".", "the folder of the repository")
	flag.Parse()
	if err := generate(*root); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err) //nolint:forbidigo // this is a main, for developers
		os.Exit(1)                                //nolint:forbidigo // this is a main, for developers
	}
}

func generate(root string) error {
	reg := config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
	schema, err := config.Schema(reg)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(root, "schedules.schema.json"), schema); err != nil {
		return err
	}
	page := filepath.Join(root, "docs", "configuration.md")
	text, err := os.ReadFile(page) //nolint:gosec // the repository's own file
	if err != nil {
		return fmt.Errorf("reading the guide: %w", err)
	}
	text, err = config.WithReference(text, reg)
	if err != nil {
		return err
	}
	return write(page, text)
}

func write(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // a file of the repository, for everybody
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return nil
}
