package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
)

// foreign is what a plugin's manifest says of a check. Its process is not asked.
type foreign struct{ kind manifest.Kind }

// Measures implements checks.Measuring.
func (f foreign) Measures() []string {
	names := make([]string, 0, len(f.kind.Measurements)+1)
	for _, m := range f.kind.Measurements {
		names = append(names, m.Name)
	}
	names = append(names, "probe.http.duration") // of its phases, which no manifest announces
	slices.Sort(names)
	return slices.Compact(names)
}

// Run says that nobody runs it.
func (f foreign) Run(context.Context) (checks.Result, error) {
	return checks.Result{}, errors.New("the plugin is not started here")
}

// paidForeign is one whose runs cost money.
type paidForeign struct{ foreign }

// MaxCost implements checks.Paid.
func (f paidForeign) MaxCost(time.Time) (checks.PicoUSD, bool) { return f.kind.MaxCost, true }

// offline is a plugin's check for those who only want to know what it measures and costs.
func offline(check *config.Check) checks.Check {
	f := foreign{check.Foreign.Kind}
	if f.kind.MaxCost > 0 {
		return paidForeign{f}
	}
	return f
}

// faulty is a check that its plugin cannot serve: each of its runs says why.
type faulty struct {
	foreign
	fault *config.PluginFault
}

// Run says what is wrong.
func (f faulty) Run(context.Context) (checks.Result, error) {
	return checks.Result{Cause: checks.CauseConfig}, fmt.Errorf("plugin %s: %w", f.fault.Plugin, placed(f.fault))
}

// placed is a fault with its place, in one line.
func placed(f *config.PluginFault) error {
	text := fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return errors.New(text)
}
