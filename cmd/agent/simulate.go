package main

import (
	"fmt"
	"log/slog"
	"math"
	"net"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

type simulateFlags struct {
	listen, scenario string
	keys, adminKeys  []string
	seed             int64
	speed            float64
}

func newSimulate(p process) *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Serve a Mistral API that misbehaves on request",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return simulate(cmd, p, f) },
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8080", "the address to serve on")
	cmd.Flags().StringVar(&f.scenario, "scenario", "", "a scenario file, played from the start")
	cmd.Flags().StringSliceVar(&f.keys, "key", nil, "an API key to accept, repeatable (default: any)")
	cmd.Flags().StringSliceVar(&f.adminKeys, "admin-key", nil, "a key to accept at /v1/admin, repeatable (default: any that begins with \"admin\")")
	cmd.Flags().Int64Var(&f.seed, "seed", 1, "the seed of everything random")
	cmd.Flags().Float64Var(&f.speed, "speed", 1, "divide all latencies and the scenario by this")
	return cmd
}

func simulate(cmd *cobra.Command, p process, f simulateFlags) error {
	if f.speed <= 0 || math.IsNaN(f.speed) || math.IsInf(f.speed, 0) {
		return exit(exitUsage, fmt.Errorf("--speed is %v, want a number above 0", f.speed))
	}
	options := simulator.Options{Seed: f.seed, Speed: f.speed, Log: slog.New(slog.NewTextHandler(p.stderr, nil))}
	options.Keys, options.AdminKeys = keySet(f.keys), keySet(f.adminKeys)
	if f.scenario != "" {
		scenario, err := simulator.LoadScenario(f.scenario)
		if err != nil {
			return exit(exitUsage, err)
		}
		options.Scenario = scenario.Compress(f.speed)
	}
	listener, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", f.listen)
	if err != nil {
		return exit(exitCannot, fmt.Errorf("listening: %w", err))
	}
	fmt.Fprintf(p.stdout, "simulating Mistral on http://%s\n", listener.Addr())
	if err := simulator.New(options).Serve(cmd.Context(), listener); err != nil {
		return exit(exitCannot, err)
	}
	return nil
}

func keySet(keys []string) map[string]bool {
	set := map[string]bool{}
	for _, key := range keys {
		set[key] = true
	}
	return set
}
