package plugintest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// wellRun wants a good run to be ok. Whether the result is valid is asked by the cases that are about it.
func wellRun(k *kind, answer *pluginv1.RunResponse) error {
	if answer.GetResult() == nil {
		return fmt.Errorf("kind %q: a run has no result", k.Name)
	}
	status := answer.GetResult().GetStatus()
	if k.guessed || status == pluginv1.Status_STATUS_OK || status == pluginv1.Status_STATUS_DEGRADED {
		return nil
	}
	return fmt.Errorf("kind %q: a run with the good parameters is %s, cause %q: %q; want STATUS_OK or STATUS_DEGRADED",
		k.Name, status, answer.GetResult().GetCause(), clip(answer.GetResult().GetSummary()))
}

// validRun says what the agent would refuse of an answer.
func validRun(k *kind, answer *pluginv1.RunResponse) error {
	var errs []error
	say := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("kind %q: the result: %w", k.Name, fmt.Errorf(format, args...)))
	}
	r := answer.GetResult()
	if r == nil {
		say("there is none")
		return errors.Join(errs...)
	}
	for _, err := range flat(judged(r)) {
		say("%w", err)
	}
	for _, m := range r.GetMeasurements() {
		i := slices.IndexFunc(k.Measurements, func(one manifest.Measurement) bool { return one.Name == m.GetName() })
		switch {
		case i < 0:
			say("the measurement %q is not announced", clip(m.GetName()))
		case k.Measurements[i].Unit != m.GetUnit():
			say("the measurement %q has the unit %q, and %q is announced", m.GetName(), clip(m.GetUnit()), k.Measurements[i].Unit)
		}
	}
	if cost := r.GetUsage().GetCostPicoUsd(); cost > int64(k.MaxCost) {
		say("the run cost %d pico-dollar, and at most %d are announced", cost, int64(k.MaxCost))
	}
	if n := len(answer.GetMemory()); n > wire.MaxMemory {
		say("its memory has %d bytes, want at most %d", n, wire.MaxMemory)
	}
	return errors.Join(errs...)
}

// wellExported wants a good batch to be done.
func wellExported(k *kind, answer *pluginv1.ExportResponse) error {
	if k.guessed || answer.GetDisposition() == pluginv1.Disposition_DISPOSITION_DONE {
		return nil
	}
	return fmt.Errorf("kind %q: an export with the good parameters is %s: %q; want DISPOSITION_DONE", k.Name, answer.GetDisposition(), clip(answer.GetMessage()))
}

// validExport says what the agent would not believe of an answer.
func validExport(k *kind, answer *pluginv1.ExportResponse, n int) error {
	var errs []error
	say := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("kind %q: the answer to an export of %d: %w", k.Name, n, fmt.Errorf(format, args...)))
	}
	d := answer.GetDisposition()
	if _, err := wire.OutcomeFromProto(answer, n); errors.Is(err, wire.ErrAnswer) {
		say("%w", err)
	}
	if _, known := pluginv1.Disposition_name[int32(d)]; !known || d == pluginv1.Disposition_DISPOSITION_UNSPECIFIED {
		say("its disposition is %s", d)
	}
	if d != pluginv1.Disposition_DISPOSITION_DONE && answer.GetMessage() == "" {
		say("%s does not say why", d)
	}
	for _, r := range answer.GetRejections() {
		if !isLine(r.GetReason()) {
			say("the reason of a rejection is %q, want one line of at most %d bytes", clip(r.GetReason()), maxLine)
		}
	}
	if !isLine(answer.GetMessage()) {
		say("its message is %q, want one line of at most %d bytes", clip(answer.GetMessage()), maxLine)
	}
	return errors.Join(errs...)
}

const maxLine = wire.MaxSummary

// isLine reports whether a text is one line for people, or nothing.
func isLine(text string) bool { return wire.Line(text) == text }

// judged says what the agent refuses of a result, and the texts that it would have to mend.
func judged(r *pluginv1.Result) error {
	var errs []error
	if _, err := wire.ResultFromProto(r); err != nil {
		errs = append(errs, err)
	}
	if r.GetSummary() == "" || !isLine(r.GetSummary()) {
		errs = append(errs, fmt.Errorf("its summary is %q, want one line of at most %d bytes", clip(r.GetSummary()), maxLine))
	}
	return errors.Join(errs...)
}
