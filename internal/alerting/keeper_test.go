package alerting_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/store"
)

// desk is a keeper with its store, which may be opened again.
type desk struct {
	t       *testing.T
	dir     string
	rules   []alerts.Rule
	windows []config.Maintenance
	store   *store.Store
	keeper  *alerting.Keeper
}

func down() alerts.Rule {
	return alerts.Rule{
		Name: "down", Severity: checks.P2, Layer: alerts.LayerProbe,
		When: alerts.Condition{Metric: "probe.success", Op: alerts.Equals, Threshold: 0},
	}
}

// atDesk runs a test in which time is made, with a rule that fires on the first failure of a check.
func atDesk(t *testing.T, test func(d *desk)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, dir: dir, rules: []alerts.Rule{down()}}
		test(d)
	})
}

func (d *desk) setup() alerting.Setup {
	d.t.Helper()
	targets := []alerts.Check{{Name: "chat", Kind: "chat", Provider: "mistral", Interval: time.Minute}}
	engine, err := alerts.New(d.rules, targets, time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	return alerting.Setup{
		Engine: engine, Rules: d.rules, Windows: d.windows,
		Targets: []incident.Target{{Name: "chat", Kind: "chat", Provider: "mistral"}},
	}
}

// begin opens the store and starts to judge.
func (d *desk) begin() {
	d.t.Helper()
	opened, err := store.Open(d.t.Context(), store.Options{Dir: filepath.Join(d.dir, "state")})
	if err != nil {
		d.t.Fatal(err)
	}
	d.store = opened
	d.keeper = alerting.New(d.setup(), alerting.Options{Store: opened, Log: slog.New(slog.DiscardHandler), Book: incident.New()})
	if err := d.keeper.Start(d.t.Context(), nil); err != nil {
		d.t.Error(err)
	}
}

func (d *desk) end() {
	d.t.Helper()
	if err := d.store.Close(); err != nil {
		d.t.Error(err)
	}
}

func (d *desk) run(status checks.Status) string {
	d.t.Helper()
	time.Sleep(time.Second)
	r := &checks.Report{
		ID: ulid.Make().String(), Check: "chat", Kind: "chat", Provider: "mistral", Location: "lab", ScheduledAt: time.Now(),
		StartedAt: time.Now(), Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1, Result: checks.Result{Status: status},
	}
	if status == checks.Failed {
		r.Cause, r.Blame = checks.CauseTimeout, checks.CauseTimeout.Blame()
	}
	d.hand(checks.OfReport(r))
	return r.ID
}

func (d *desk) hand(record checks.Record) {
	d.t.Helper()
	if err := d.keeper.Append(d.t.Context(), 0, record); err != nil {
		d.t.Error(err)
	}
}

func (d *desk) tick() {
	d.t.Helper()
	time.Sleep(time.Second)
	if err := d.keeper.Tick(d.t.Context()); err != nil {
		d.t.Error(err)
	}
}

// told is all that the store holds, in order: reports by their status, transitions by where they lead.
func (d *desk) told() []string {
	d.t.Helper()
	var all []string
	err := d.store.Each(d.t.Context(), 0, func(e delivery.Entry) error {
		switch {
		case e.Record.Report != nil:
			all = append(all, e.Record.Report.Status.String())
		case e.Record.Alert != nil:
			word := string(e.Record.Alert.State)
			if e.Record.Alert.Reminder {
				word += " reminder"
			}
			if e.Record.Alert.Muted != "" {
				word += " muted"
			}
			all = append(all, word)
		}
		return nil
	})
	if err != nil {
		d.t.Error(err)
	}
	return all
}

func (d *desk) wants(want ...string) {
	d.t.Helper()
	if got := d.told(); !slices.Equal(got, want) {
		d.t.Errorf("the store holds %q, want %q", got, want)
	}
}

func TestAReportAndWhatFollowsFromItStandTogether(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		d.run(checks.OK)
		d.run(checks.Failed)
		d.run(checks.Failed)
		open, known := d.keeper.Open()
		if !known || len(open) != 1 || open[0].Incident == "" || open[0].RespondBy.IsZero() {
			d.t.Errorf("open %+v, %v; want one alert, in an incident", open, known)
		}
		if got := len(d.store.States("alert/")); got != 1 {
			d.t.Errorf("%d alerts have a state, want 1", got)
		}
		d.run(checks.OK)
		if open, _ := d.keeper.Open(); len(open) != 0 {
			d.t.Errorf("open %+v after the end", open)
		}
		d.wants("ok", "failed", "firing", "failed", "ok", "resolved")
		d.end()
	})
}

func TestWhatFiresOutlivesTheProcessAndIsResolvedOnce(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		d.run(checks.Failed)
		before, _ := d.keeper.Open()
		d.end()
		d.begin()
		d.tick()
		open, _ := d.keeper.Open()
		if len(open) != 1 || len(before) != 1 || open[0].Incident != before[0].Incident || open[0].Fingerprint != before[0].Fingerprint {
			d.t.Errorf("open %+v after the restart, want %+v", open, before)
		}
		d.run(checks.Failed)
		d.run(checks.OK)
		d.tick()
		d.wants("failed", "firing", "failed", "ok", "resolved")
		d.end()
	})
}

// TestWhatTheStoreHasDroppedEndsNoAlert: of a failure that a rule looks back at for a day nothing is left in the store.
func TestWhatTheStoreHasDroppedEndsNoAlert(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.t.Helper()
		d.rules = []alerts.Rule{{
			Name: "down", Severity: checks.P2, Layer: alerts.LayerProbe, When: alerts.Condition{
				Metric: "probe.failures", Aggregate: alerts.Sum, Window: alerts.Window{Time: 24 * time.Hour}, Op: alerts.Above,
			},
		}}
		d.begin()
		d.run(checks.Failed)
		d.run(checks.OK)
		if err := d.store.Expire(d.t.Context(), time.Now().AddDate(1, 0, 0)); err != nil {
			d.t.Fatal(err)
		}
		d.end()
		d.begin()
		d.run(checks.OK)
		d.wants("ok")
		time.Sleep(24 * time.Hour)
		d.run(checks.OK)
		d.wants("ok", "ok", "resolved")
		d.end()
	})
}

func TestARuleThatIsGoneResolvesItsAlerts(t *testing.T) {
	t.Parallel()
	for name, restarted := range map[string]bool{"by a reload": false, "by a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atDesk(t, func(d *desk) {
				d.begin()
				d.run(checks.Failed)
				d.rules = nil
				if restarted {
					d.end()
					d.begin()
				} else if err := d.keeper.Replace(d.t.Context(), d.setup()); err != nil {
					d.t.Error(err)
				}
				d.wants("failed", "firing", "resolved")
				if got := d.store.States("alert/"); len(got) != 0 {
					d.t.Errorf("states %v after the end", got)
				}
				d.end()
			})
		})
	}
}

func TestWithoutAStartNothingIsJudged(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		d.keeper.Stop()
		d.run(checks.Failed)
		d.tick()
		if _, known := d.keeper.Open(); known {
			d.t.Error("what is open is known, and nobody judges")
		}
		d.wants("failed")
		d.end()
	})
}

func TestASilenceMutesUntilItsEndOverARestart(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		made, err := d.keeper.Silence(d.t.Context(), alerting.Silence{
			Match: map[string][]string{"rule": {"down"}, "check": {"~ch.*"}}, Reason: "load test", By: "ada", Until: time.Now().Add(10 * time.Minute),
		})
		if err != nil {
			d.t.Fatal(err)
		}
		d.end()
		d.begin()
		if got := d.keeper.View().Mutes; len(got) != 1 || got[0].ID != "silence/"+made.ID || got[0].Reason != "load test" || got[0].By != "ada" {
			d.t.Errorf("mutes %+v after the restart, want the silence", got)
		}
		d.run(checks.Failed)
		if open, _ := d.keeper.Open(); len(open) != 1 || !strings.Contains(open[0].Muted, "load test") {
			d.t.Errorf("open %+v, want it muted with the reason", open)
		}
		time.Sleep(10 * time.Minute)
		d.tick()
		if got := d.keeper.View().Mutes; len(got) != 0 {
			d.t.Errorf("mutes %+v after the end", got)
		}
		d.wants("failed", "firing muted", "firing")
		d.end()
	})
}

// TestASilenceOfAClockThatWasSetBackMutes: it began when it was made, whatever the clock says of that.
func TestASilenceOfAClockThatWasSetBackMutes(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		now := time.Now()
		data, err := json.Marshal([]alerting.Silence{{
			ID: "s", Match: map[string][]string{"rule": {"down"}}, Reason: "load test", From: now.Add(time.Hour), Until: now.Add(2 * time.Hour),
		}})
		if err != nil {
			d.t.Fatal(err)
		}
		if err := d.store.SaveState(d.t.Context(), "silences", data); err != nil {
			d.t.Fatal(err)
		}
		d.end()
		d.begin()
		d.run(checks.Failed)
		d.wants("failed", "firing muted")
		d.end()
	})
}

func TestASilenceCanBeEndedAndOthersCannot(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		made, err := d.keeper.Silence(d.t.Context(), alerting.Silence{
			Match: map[string][]string{"check": {"!embeddings"}}, Reason: "known", Until: time.Now().Add(time.Hour),
		})
		if err != nil {
			d.t.Fatal(err)
		}
		d.run(checks.Failed)
		if err := d.keeper.EndSilence(d.t.Context(), made.ID); err != nil {
			d.t.Error(err)
		}
		if err := d.keeper.EndSilence(d.t.Context(), made.ID); !errors.Is(err, alerting.ErrNone) {
			d.t.Errorf("ended again: %v, want ErrNone", err)
		}
		d.wants("failed", "firing muted", "firing")
		d.end()
	})
}

func TestAWindowMutesWhileItIsOpen(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		// Time in a bubble begins at midnight UTC of 2000-01-01.
		d.windows = []config.Maintenance{{Name: "night", Schedule: paris(d.t, "0 2 * * *"), Duration: time.Hour, Reason: "backups"}}
		d.begin()
		d.run(checks.Failed)
		time.Sleep(time.Hour)
		d.tick()
		time.Sleep(time.Hour)
		d.tick()
		d.wants("failed", "firing", "firing", "firing reminder") // the time to respond ended meanwhile
		d.end()
	})
}

func TestAReloadThatTakesAWindowAwayUnmutes(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.windows = []config.Maintenance{{Name: "night", Schedule: paris(d.t, "0 1 * * *"), Duration: time.Hour}}
		d.begin()
		d.run(checks.Failed)
		d.windows = nil
		if err := d.keeper.Replace(d.t.Context(), d.setup()); err != nil {
			d.t.Error(err)
		}
		d.tick()
		d.wants("failed", "firing muted", "firing")
		d.end()
	})
}

func TestAnAcknowledgementNamesTheCommander(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		if err := d.keeper.Ack(d.t.Context(), "down", "ada", ""); !errors.Is(err, alerting.ErrNone) {
			d.t.Errorf("nothing is open: %v, want ErrNone", err)
		}
		d.run(checks.Failed)
		if err := d.keeper.Ack(d.t.Context(), "down", "ada\nlovelace", ""); !errors.Is(err, alerting.ErrInvalid) {
			d.t.Errorf("a name of two lines: %v, want ErrInvalid", err)
		}
		if err := d.keeper.Ack(d.t.Context(), "down", "ada", "looking"); err != nil {
			d.t.Error(err)
		}
		d.end()
		d.begin()
		if open, _ := d.keeper.Open(); len(open) != 1 || open[0].Commander != "ada" {
			d.t.Errorf("open %+v after a restart, want ada to command", open)
		}
		d.wants("failed", "firing", "firing reminder")
		d.end()
	})
}

func TestGaugesCountWhatIsOpen(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		count := func() map[string]float64 {
			sums := map[string]float64{}
			for _, m := range d.keeper.Gauges() {
				sums[m.Name+" "+m.Attrs["severity"]] += m.Value
			}
			return sums
		}
		for name, want := range map[string]float64{"windsock.alert.open P2": 0, "windsock.alert.open P1": 0, "windsock.alert.muted ": 0, "windsock.incident.open P2": 0} {
			if got, told := count()[name]; got != want || !told {
				d.t.Errorf("before: %s is %v, told %v; want %v", name, got, told, want)
			}
		}
		d.run(checks.Failed)
		for name, want := range map[string]float64{"windsock.alert.open P2": 1, "windsock.alert.open P1": 0, "windsock.alert.state P2": 2, "windsock.incident.open P2": 1} {
			if got := count()[name]; got != want {
				d.t.Errorf("while it fires: %s is %v, want %v", name, got, want)
			}
		}
		d.end()
	})
}

func TestASilenceThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	soon := func() time.Time { return time.Now().Add(time.Hour) }
	rule := map[string][]string{"rule": {"down"}}
	atDesk(t, func(d *desk) {
		d.begin()
		for name, s := range map[string]alerting.Silence{
			"without a match":            {Reason: "x", Until: soon()},
			"without a reason":           {Match: rule, Reason: "  ", Until: soon()},
			"without an end":             {Match: rule, Reason: "x"},
			"over already":               {Match: rule, Reason: "x", Until: time.Now().Add(-time.Second)},
			"for two years":              {Match: rule, Reason: "x", Until: time.Now().AddDate(2, 0, 0)},
			"with a reason of two lines": {Match: rule, Reason: "x\ny", Until: soon()},
			"with a long reason":         {Match: rule, Reason: strings.Repeat("x", 501), Until: soon()},
			"with a bad expression":      {Match: map[string][]string{"check": {"~("}}, Reason: "x", Until: soon()},
			"with expressions":           {Match: map[string][]string{"check": {"~a", "~b"}}, Reason: "x", Until: soon()},
			"with yes and no":            {Match: map[string][]string{"check": {"a", "!b"}}, Reason: "x", Until: soon()},
			"with a label without name":  {Match: map[string][]string{"": {"a"}}, Reason: "x", Until: soon()},
			"with a label without value": {Match: map[string][]string{"check": {}}, Reason: "x", Until: soon()},
		} {
			if _, err := d.keeper.Silence(d.t.Context(), s); !errors.Is(err, alerting.ErrInvalid) {
				d.t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		if got := d.keeper.View().Mutes; len(got) != 0 {
			d.t.Errorf("mutes %+v of silences that were refused", got)
		}
		d.end()
	})
}

func TestTimeAloneMovesAlertsUntilTheEnd(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		held := down()
		held.For = 30 * time.Second
		d.rules = []alerts.Rule{held}
		d.begin()
		ctx, stop := context.WithCancel(d.t.Context())
		ended := make(chan struct{})
		go func() { d.keeper.Run(ctx); close(ended) }()
		d.run(checks.Failed)
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		<-ended
		d.wants("failed", "pending", "firing")
		d.end()
	})
}
