package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"`
	Go      string `json:"go"`
	Target  string `json:"target"`
}

func newVersion(p process) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			asJSON, err := wantOutput(output)
			if err != nil {
				return err
			}
			b := describeBuild()
			if asJSON {
				return json.NewEncoder(p.stdout).Encode(b)
			}
			fmt.Fprintf(p.stdout, "windsock %s (%s, %s)\n", b.Version, b.Go, b.Target)
			if b.Commit != "" {
				fmt.Fprintf(p.stdout, "commit %s of %s\n", b.Commit, b.Date)
			}
			return nil
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func describeBuild() build {
	b := build{Version: version, Commit: commit, Date: date, Go: runtime.Version(), Target: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok || b.Commit != "" {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		}
	}
	return b
}
