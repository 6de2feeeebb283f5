package agent

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/config"
)

// RouteTest is a test notification.
type RouteTest struct {
	ProbeOptions

	Exporter string
	Severity checks.Severity
	Labels   map[string]string // beside test="true"
	OpenFor  time.Duration     // between the firing and the resolved one
}

const (
	testRule      = "windsock-test"
	testEnds      = 3 // attempts to tell that the test is over
	testEndsAfter = 2 * time.Second
	testEndsMost  = 30 * time.Second
)

// teller is implemented by exporters that tell people.
type teller interface {
	Tells(fingerprint string) bool
}

// TryRoute sends a test notification through an exporter of the configuration, as firing and then as resolved; false where
// there is none of that name. What was told as firing is told as resolved even where ctx has ended, and in several attempts.
// The alert is marked as a test, and its fingerprint is no other's.
func TryRoute(ctx context.Context, cfg *config.Config, t RouteTest) (Finding, bool) {
	for i := range cfg.Exporters {
		if e := &cfg.Exporters[i]; e.Name == t.Exporter {
			finding := Finding{Subject: "exporter " + e.Name}
			finding.Detail, finding.Hint = tryRoute(ctx, cfg, e, t)
			finding.OK = finding.Hint == ""
			return finding, true
		}
	}
	return Finding{}, false
}

// tryRoute says what became of the test; hint is "" where all is well.
func tryRoute(ctx context.Context, cfg *config.Config, e *config.Exporter, t RouteTest) (detail, hintText string) {
	network, err := networkOf(cfg, t.Version, nil)
	if err != nil {
		return err.Error(), "look at `network:`"
	}
	defer network.Close()
	built, err := buildToTry(cfg, e, network, t.ProbeOptions)
	if err != nil {
		return err.Error(), hint(err)
	}
	defer closeExporter(built)
	alert := testAlert(e.Name, t)
	if err := tell(ctx, built, e.Timeout, alert); err != nil {
		return "did not take the test notification: " + err.Error(), hint(err)
	}
	if told, people := built.(teller); people && !told.Tells(alert.Fingerprint) {
		return fmt.Sprintf("told nobody: its `match` does not let an alert of severity %s with these labels through", alert.Severity),
			"give --severity and --label as the route wants them"
	}
	pause(ctx, t.OpenFor)
	if err := end(context.WithoutCancel(ctx), built, e.Timeout, alert); err != nil {
		return "took the test notification as firing, and not as resolved: " + err.Error(),
			"close it by hand: rule " + testRule + ", fingerprint " + alert.Fingerprint
	}
	return "took a test notification as firing, and then as resolved: rule " + testRule + ", fingerprint " + alert.Fingerprint, ""
}

func testAlert(name string, t RouteTest) checks.Alert {
	now := time.Now().Round(0).UTC()
	labels := maps.Clone(t.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["test"] = "true"
	return checks.Alert{
		Rule: testRule, Fingerprint: "test-" + strings.ToLower(ulid.Make().String()), State: checks.AlertFiring,
		Severity: t.Severity, Since: now, At: now, Labels: labels,
		Summary: fmt.Sprintf("TEST: nothing is wrong. Somebody tries whether notifications through %q arrive.", name),
		Impact:  "none, this is a test",
		Action:  "none: it is resolved by itself",
	}
}

// end tells that the test is over.
func end(ctx context.Context, e exporters.Exporter, timeout time.Duration, alert checks.Alert) error {
	alert.Previous, alert.State = alert.State, checks.AlertResolved
	alert.At = later(alert.At, time.Now().Round(0).UTC())
	var err error
	for range testEnds {
		if err != nil {
			pause(ctx, min(max(exporters.RetryAfter(err), testEndsAfter), testEndsMost))
		}
		if err = tell(ctx, e, timeout, alert); err == nil {
			return nil
		}
	}
	return err
}

// later is now, or a moment after before where the clock did not move on.
func later(before, now time.Time) time.Time {
	if now.After(before) {
		return now
	}
	return before.Add(time.Millisecond)
}

func tell(ctx context.Context, e exporters.Exporter, timeout time.Duration, alert checks.Alert) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	outcome, err := e.Export(ctx, []checks.Record{{ID: ulid.Make().String(), At: alert.At, Alert: &alert}})
	if err == nil && len(outcome.Rejected) > 0 {
		return fmt.Errorf("the backend refused it for good: %s", outcome.Rejected[0].Reason)
	}
	return err //nolint:wrapcheck // who asks says what of
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
