package incident_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

var update = flag.Bool("update", false, "write the golden files anew") //nolint:gochecknoglobals // a flag of the test binary

func at(minutes, seconds int) time.Time {
	return friday().Add(time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second)
}

// outage is an incident that went all the way: it began at 9:58, fired at 10:00, was over at 10:40.
func outage() (*incident.Incident, []incident.Event) {
	in := &incident.Incident{
		ID: "01JTQZZZZZZZZZZZZZZZZZZZZZ", Title: "chat of <mistral> is | down", Severity: checks.P1, Provider: "mistral", Blame: checks.BlameProvider,
		OpenedAt: at(0, 0), QuietAt: at(30, 0), ClosedAt: at(40, 0), RespondBy: at(15, 0), Commander: "ada", AckedAt: at(5, 0),
		Alerts: []checks.Alert{
			{Rule: "api-down", Fingerprint: "f1", State: checks.AlertResolved, Severity: checks.P1, Blame: checks.BlameProvider, Since: at(0, 0), At: at(30, 0), Labels: map[string]string{"check": "hello", "provider": "mistral"}, Summary: "3 calls failed on par1-vm7"},
		},
	}
	event := func(at time.Time, kind incident.EventKind, subject, text string) incident.Event {
		e := incident.Event{ID: "E" + at.Format("150405"), At: at, Kind: kind, Subject: subject, Text: text, Incident: in.ID}
		if kind == incident.EventMark {
			e.Incident = ""
		}
		return e
	}
	return in, []incident.Event{
		event(at(-10, 0), incident.EventMark, "bob", "v2 canary at 10 %"),
		event(at(0, 0), incident.EventOpened, "api-down", "incident opened, P1: chat is down"),
		event(at(0, 0), incident.EventAlert, "api-down", "api-down is firing, P1: 3 calls failed"),
		event(at(0, 1), incident.EventVerdict, "hello", "hello: failed, was ok: 500 server"),
		event(at(5, 0), incident.EventAck, "ada", "ada acknowledged: *calling* them"),
		event(at(20, 0), incident.EventMark, "ada", "mitigated: the fallback is on"),
		event(at(30, 0), incident.EventAlert, "api-down", "api-down is resolved, P1: 3 calls failed"),
		event(at(40, 0), incident.EventClosed, "", "incident closed after 40m0s, P1, 1 alerts"),
	}
}

// runs are the reports of the outage, one a minute of two checks, and of one that reads the application's metrics.
func runs() []checks.Record {
	var all []checks.Record
	add := func(check, kind string, when time.Time, r checks.Result) {
		report := &checks.Report{ID: "R-" + check + when.Format("1504"), Check: check, Kind: kind, Provider: "mistral", StartedAt: when, Final: true, Slots: 1, Result: r}
		all = append(all, checks.OfReport(report))
	}
	for minute := -5; minute < 45; minute++ {
		result := checks.Result{Status: checks.OK, Usage: &checks.Usage{Cost: checks.Dollar / 1000}}
		if minute >= -2 && minute < 30 {
			result = checks.Fail(checks.CauseServer, "500 server (code 1000)")
			result.Blame = checks.BlameProvider
		}
		add("hello", "chat", at(minute, 0), result)
		rate := 0.0
		if minute >= 0 && minute < 20 {
			rate = 12
		}
		add("metrics", "prometheus", at(minute, 30), checks.Result{Status: checks.OK, Measurements: []checks.Measurement{{Name: "query.errors_5xx", Value: rate}, {Name: "query.cost_hour", Value: 3.5}}})
	}
	add("emb", "embeddings", at(1, 0), checks.Fail(checks.CauseTimeout, "no answer in 10s"))
	add("emb", "embeddings", at(2, 0), checks.Skip(checks.CauseBudget, "the budget is spent"))
	add("elsewhere", "chat", at(1, 0), checks.Fail(checks.CauseAuth, "401"))
	return all
}

func seenOf(in *incident.Incident, records []checks.Record) *incident.Seen {
	v := incident.NewViewer(at(50, 0), in, []string{"hello", "emb"}, []string{"metrics"})
	for i := range records {
		v.Add(&records[i])
	}
	return v.Seen()
}

func setting() runbook.Setting {
	return runbook.Setting{
		Service: "checkout", Affected: "answers of the assistant", Channel: "#incident-mistral", StatusPage: "https://status.example",
		Deployment: runbook.Deployment{Kubernetes: &runbook.Kubernetes{Deployment: "shop", Namespace: "prod"}},
		Escalation: []runbook.Escalation{{Severity: "P1", After: 10 * time.Minute, Contact: "the lead, by phone"}, {Severity: "P2", Contact: "nobody of P1"}},
	}
}

func briefOf(now time.Time, in *incident.Incident, timeline []incident.Event, seen *incident.Seen) *incident.Brief {
	return &incident.Brief{
		Now: now, Incident: in, Course: incident.CourseOf(now, in, timeline, seen), Seen: seen, Setting: setting(), Zone: time.UTC,
		Internals: incident.Words("mistral", "hello", "emb", "ada", "par1-vm7", "api.mistral.ai", "checkout"),
	}
}

func TestHowAnIncidentWent(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	c := incident.CourseOf(at(50, 0), in, timeline, seenOf(in, runs()))
	got := map[incident.Step]time.Time{}
	for _, m := range c.Milestones {
		got[m.Step] = m.At
	}
	want := map[incident.Step]time.Time{
		incident.StepBegan: at(-2, 0), incident.StepFired: at(0, 0), incident.StepAcked: at(5, 0), incident.StepIdentified: at(0, 0),
		incident.StepMitigated: at(20, 0), incident.StepResolved: at(40, 0),
	}
	for step, when := range want {
		if !got[step].Equal(when) {
			t.Errorf("%s at %s, want %s", step, got[step], when)
		}
	}
	for name, tt := range map[string]struct {
		got  *float64
		want float64
	}{
		"detect": {c.Detect, 120}, "ack": {c.Ack, 300}, "identify": {c.Identify, 0}, "mitigate": {c.Mitigate, 22 * 60}, "resolve": {c.Resolve, 42 * 60}, "duration": {&c.Duration, 42 * 60},
	} {
		if tt.got == nil || *tt.got != tt.want {
			t.Errorf("time to %s is %s, want %gs", name, incident.Took(tt.got), tt.want)
		}
	}
}

func TestWhatNobodyKnowsIsNoTime(t *testing.T) {
	t.Parallel()
	in, _ := outage()
	in.QuietAt, in.ClosedAt, in.AckedAt, in.Commander = time.Time{}, time.Time{}, time.Time{}, ""
	c := incident.CourseOf(at(50, 0), in, nil, nil)
	for _, m := range c.Milestones {
		if known := m.Step == incident.StepFired; known == m.At.IsZero() {
			t.Errorf("%s at %s (%s), want known: %v", m.Step, m.At, m.How, known)
		}
	}
	if c.Detect != nil || c.Ack != nil || c.Identify != nil || c.Mitigate != nil || c.Resolve != nil {
		t.Errorf("got %+v, want no time", c)
	}
}

func TestWhatTheRecordsTell(t *testing.T) {
	t.Parallel()
	in, _ := outage()
	s := seenOf(in, runs())
	if s.Failed != 33 || s.Skipped != 1 || s.Cause != checks.CauseServer || s.Blame != checks.BlameProvider || s.Kind != "chat" {
		t.Errorf("got %+v", s)
	}
	if want := 10 * checks.Dollar / 1000; s.Spend < want || s.Spend > want+checks.Dollar/1000 {
		t.Errorf("spend %s, want about %s: of the runs in its time alone", s.Spend, want)
	}
	if s.Traffic == nil || s.Traffic.Failed == nil || *s.Traffic.Failed < 235 || *s.Traffic.Failed > 245 {
		t.Errorf("traffic %+v, want about 240 failed requests", s.Traffic)
	}
	for _, r := range s.Refs {
		if r.Check == "elsewhere" {
			t.Errorf("a check of another provider is evidence: %+v", r)
		}
	}
}

func TestWithoutAMeasurementTheFailedRequestsAreNotZero(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	records := slices.DeleteFunc(runs(), func(r checks.Record) bool { return r.Report.Kind == "prometheus" })
	for name, seen := range map[string]*incident.Seen{"no such check": seenOf(in, records), "no records": nil, "none of its time": seenOf(in, nil)} {
		text := briefOf(at(50, 0), in, timeline, seen).Postmortem(timeline)
		if !strings.Contains(text, "| failed requests of the application | not known") {
			t.Errorf("%s: the postmortem does not say that the failed requests are not known:\n%s", name, text)
		}
		if strings.Contains(text, "runs of the checks | 0 of 0") {
			t.Errorf("%s: the postmortem says 0 where nobody knows", name)
		}
	}
}

func TestANegativeRateIsNoNumberOfRequests(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	for _, rate := range []float64{-5, 1e300} {
		var records []checks.Record
		for minute := range 10 {
			records = append(records, checks.OfReport(&checks.Report{
				ID: "R", Check: "metrics", Kind: "prometheus", StartedAt: at(minute, 0), Final: true,
				Result: checks.Result{Status: checks.OK, Measurements: []checks.Measurement{{Name: "query.errors_5xx", Value: rate}}},
			}))
		}
		if text := briefOf(at(50, 0), in, timeline, seenOf(in, records)).Postmortem(timeline); !strings.Contains(text, "| failed requests of the application | not known") {
			t.Errorf("%g: the postmortem has a number of failed requests:\n%s", rate, text)
		}
	}
}

func TestDrillsAndOtherAttemptsAreNotCounted(t *testing.T) {
	t.Parallel()
	in, _ := outage()
	records := runs()
	for i := range records {
		records[i].Report.Trigger = checks.TriggerDrill
	}
	if s := seenOf(in, records); s.Runs != 0 || s.Failed != 0 {
		t.Errorf("a drill's runs were counted: %+v", s)
	}
}

func TestAnIncidentOfADrillSaysSo(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	in.Alerts[0].Labels["drill"] = "capacity"
	records := runs()
	for i := range records {
		if i%4 == 0 { // every other run of hello
			records[i].Report.Trigger = checks.TriggerDrill
		}
	}
	b := briefOf(at(50, 0), in, timeline, seenOf(in, records))
	if b.Seen.Failed == 0 || b.Seen.Failed >= 33 {
		t.Errorf("%d failed, want those of the drill alone", b.Seen.Failed)
	}
	m := b.Message(incident.External, "")
	if len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "nobody outside is to be told") {
		t.Errorf("the public message has the notes %q", m.Notes)
	}
	if !strings.HasPrefix(m.Text, "This is a drill: nothing is wrong, and nothing of this is to be published.\n") {
		t.Errorf("the public message begins otherwise:\n%s", m.Text)
	}
	if m := b.Message(incident.Internal, ""); !strings.HasPrefix(m.Text, "*Drill:* `capacity`, nothing is wrong\n") {
		t.Errorf("the team's message begins otherwise:\n%s", m.Text)
	}
	if text := b.Postmortem(timeline); !strings.Contains(text, "> A drill (capacity): nothing was wrong.") {
		t.Errorf("the postmortem does not say that it was a drill:\n%s", text)
	}
}

// TestWhatFiresAfterAMitigationIsNotMitigated: nobody outside is told that it is well because of a mark of before.
func TestWhatFiresAfterAMitigationIsNotMitigated(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	in.ClosedAt, in.QuietAt = time.Time{}, time.Time{}
	tests := map[string]struct {
		since time.Time
		want  incident.Phase
	}{
		"the alert of before the mark fires still":    {at(0, 0), incident.Monitoring},
		"an alert began to fire after the mitigation": {at(22, 0), incident.Identified},
	}
	for name, tt := range tests {
		in.Alerts[0].State, in.Alerts[0].Since = checks.AlertFiring, tt.since
		b := briefOf(at(25, 0), in, timeline, seenOf(in, runs()))
		if got := b.Message(incident.External, "").State; got != tt.want {
			t.Errorf("%s: the public message is %q, want %q", name, got, tt.want)
		}
	}
	in.Alerts[0].Since = at(22, 0)
	if text := briefOf(at(25, 0), in, timeline, nil).Postmortem(timeline); !strings.Contains(text, "not any more: it was at 10:20:00 (the fallback is on), and api-down fired after it") {
		t.Errorf("the postmortem does not say why it is not mitigated:\n%s", text)
	}
}

// TestOfWhatIsOpenNobodySaysUnwarnedThatItIsOver: by hand an incident is closed while users see errors.
func TestOfWhatIsOpenNobodySaysUnwarnedThatItIsOver(t *testing.T) {
	t.Parallel()
	const closed = "it was closed by hand while alerts were open (api-down): send it only where you know that users are served again"
	in, timeline := outage()
	in.Alerts[0].State, in.QuietAt = checks.AlertFiring, time.Time{}
	for _, to := range []incident.Audience{incident.Internal, incident.External} {
		b := briefOf(at(50, 0), in, timeline, nil)
		if got := b.Message(to, "").Notes; !slices.Contains(got, closed) {
			t.Errorf("%s: the notes are %q, want %q", to, got, closed)
		}
		if got := b.Message(to, incident.Investigating).Notes; len(got) != 0 {
			t.Errorf("%s: a message that says nothing of an end has the notes %q", to, got)
		}
	}
	in, timeline = outage()
	if got := briefOf(at(50, 0), in, timeline, nil).Message(incident.External, "").Notes; len(got) != 0 {
		t.Errorf("where all is resolved: %q", got)
	}
}

func TestAFirstTryThatFailedIsWhenItBegan(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	records := runs()
	try := *records[0].Report
	try.ID, try.Final, try.StartedAt, try.Result = "R-try", false, at(-2, -10), checks.Fail(checks.CauseServer, "500")
	records = append(records, checks.OfReport(&try))
	s := seenOf(in, records)
	if !s.Began.Equal(try.StartedAt) || s.Failed != 33 {
		t.Errorf("began at %s with %d failed runs, want %s and 33: the try is none of them", s.Began, s.Failed, try.StartedAt)
	}
	if m := incident.CourseOf(at(50, 0), in, timeline, s).Milestones[0]; m.Record != "R-try" {
		t.Errorf("got %+v, want the try named", m)
	}
}

func TestWhichChecksAnIncidentIsAbout(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	targets := append(targets(), incident.Target{Name: "way", Kind: "egress"}, incident.Target{Name: "theirs", Kind: "status_page", Provider: "other"}, incident.Target{Name: "disk", Kind: "exec"})
	if got, want := incident.Concerned(in, timeline, targets), []string{"app", "emb", "hello"}; !slices.Equal(got, want) {
		t.Errorf("concerned: %v, want %v", got, want)
	}
	if got, want := incident.Beside(in, targets), []string{"query", "way"}; !slices.Equal(got, want) {
		t.Errorf("beside: %v, want %v", got, want)
	}
}

func TestMessagesAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	open := *in
	open.QuietAt, open.ClosedAt = time.Time{}, time.Time{}
	for name, b := range map[string]*incident.Brief{
		"open":   briefOf(at(12, 0), &open, timeline[:4], seenOf(&open, runs())),
		"closed": briefOf(at(50, 0), in, timeline, seenOf(in, runs())),
		"blind":  briefOf(at(12, 0), &open, timeline[:4], nil),
	} {
		var messages []incident.Message
		var text strings.Builder
		for _, to := range []incident.Audience{incident.Internal, incident.External} {
			m := b.Message(to, "")
			messages = append(messages, m)
			text.WriteString("--- " + string(to) + "\n" + m.Text)
		}
		data, err := json.MarshalIndent(messages, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "comms-"+name+".txt", text.String())
		golden(t, "comms-"+name+".json", string(data)+"\n")
		golden(t, "postmortem-"+name+".md", b.Postmortem(timeline))
	}
	c := incident.CourseOf(at(50, 0), in, timeline, seenOf(in, runs()))
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "course.json", string(data)+"\n")
	golden(t, "timeline.md", incident.TimelineMarkdown(at(50, 0), in, c, timeline))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", name, got)
	}
}

// TestThePublicMessageNamesNothingInternal goes through every cause, blame and phase with an incident in which every text is
// internal.
func TestThePublicMessageNamesNothingInternal(t *testing.T) {
	t.Parallel()
	secrets := []string{
		"mistral", "hello", "emb", "ada", "grace", "par1-vm7", "api.mistral.ai", "checkout", "mistral-small-latest", "api-down", "chat-slow", "sk-canary", "01JTQ",
		"P1", "P2", "P3", "P4", "shop", "#incident", "grafana", "db7", "10.0.3.7",
	}
	for _, cause := range checks.Causes() {
		for _, blame := range append(checks.Blames(), checks.BlameInfo{}) {
			b := internalOnly(cause.Cause, blame.Blame)
			for _, phase := range append(incident.Phases(), "") {
				for _, affected := range []string{"answers of the assistant", "", "mistral answers at api.mistral.ai for ada", "assistant at db7.internal", "assistant of 10.0.3.7", "assistant behind http://shop", "a P1 of the assistant"} {
					b.Setting.Affected = affected
					m := b.Message(incident.External, phase)
					for _, word := range append(secrets, string(cause.Cause)) {
						if holds(m.Text, word) {
							t.Fatalf("cause %q, blame %q, %q: the public message names %q:\n%s", cause.Cause, blame.Blame, phase, word, m.Text)
						}
					}
					if !strings.Contains(m.Text, "assistant") && !strings.Contains(m.Text, "some of our features") {
						t.Fatalf("the public message says nothing of what is affected:\n%s", m.Text)
					}
				}
			}
		}
	}
}

// holds looks for a word; those that are words of English too count with their underscore only.
func holds(text, word string) bool {
	if slices.Contains([]string{"connect", "quota", "config", "internal", "server", "budget", "timeout", "proxy", "slow", "missed", "payment", "capacity", "auth"}, word) {
		word = " " + word + " "
	}
	return strings.Contains(strings.ToLower(text), strings.ToLower(word))
}

func internalOnly(cause checks.Cause, blame checks.Blame) *incident.Brief {
	in, timeline := outage()
	in.Title, in.Blame, in.Note = "hello on par1-vm7: mistral-small-latest sk-canary", blame, "grace calls api.mistral.ai"
	in.ClosedBy, in.Reason = "grace", "grafana says so"
	in.Alerts = append(in.Alerts, checks.Alert{Rule: "chat-slow", Fingerprint: "f2", State: checks.AlertFiring, Severity: checks.P2, Summary: "mistral-small-latest"})
	timeline = append(timeline, incident.Event{ID: "X", At: at(10, 0), Kind: incident.EventMark, Subject: "grace", Text: "cause: grafana of checkout"})
	records := runs()
	for i := range records {
		if r := records[i].Report; r.Status == checks.Failed {
			r.Cause, r.Blame, r.Summary = cause, blame, "sk-canary of mistral-small-latest"
		}
	}
	return briefOf(at(50, 0), in, timeline, seenOf(in, records))
}

func TestTheTeamsMessageMentionsNobodyAndLinksNowhere(t *testing.T) {
	t.Parallel()
	in, timeline := outage()
	in.Title, in.Commander = "<!channel> <https://evil.example|click> @here `x` *b*\n> quote", "`<@U1>"
	text := briefOf(at(50, 0), in, timeline, seenOf(in, runs())).Message(incident.Internal, incident.Investigating).Text
	for _, bad := range []string{"<!", "<http", "<@", "@here", "\n> quote"} {
		if strings.Contains(text, bad) {
			t.Errorf("it holds %q:\n%s", bad, text)
		}
	}
	if !strings.Contains(text, "`&lt;!channel&gt; &lt;https://evil.example|click&gt; (at)here 'x' *b* &gt; quote`") {
		t.Errorf("the title is not shown as it is:\n%s", text)
	}
}

func TestWhenPeopleHearAgain(t *testing.T) {
	t.Parallel()
	paris := time.FixedZone("CEST", 2*60*60)
	tests := map[string]struct {
		severity checks.Severity
		zone     *time.Location
		want     time.Time
	}{
		"P1": {checks.P1, nil, friday().Add(30 * time.Minute)},
		"P2": {checks.P2, nil, friday().Add(time.Hour)},
		"P3": {checks.P3, nil, friday().Add(4 * time.Hour)},
		"P4, on Monday in UTC when nothing else is said": {checks.P4, nil, time.Date(2026, 5, 11, 17, 0, 0, 0, time.UTC)},
		"P4, on Monday in the team's zone":               {checks.P4, paris, time.Date(2026, 5, 11, 15, 0, 0, 0, time.UTC)},
	}
	for name, tt := range tests {
		if got := incident.NextUpdate(friday(), tt.severity, tt.zone); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestWhichPageOfTheRunbookIsTheIncidents(t *testing.T) {
	t.Parallel()
	with := func(rule string, blame checks.Blame) *incident.Incident {
		return &incident.Incident{Blame: blame, Alerts: []checks.Alert{{Rule: rule}}}
	}
	tests := map[string]struct {
		in   *incident.Incident
		seen *incident.Seen
		want runbook.Branch
	}{
		"the cause of its runs":                          {with("my-rule", ""), &incident.Seen{Cause: checks.CauseAuth, Blame: checks.BlameAccount}, runbook.Key},
		"the cause, where the rule only says that it is": {with("api-down", checks.BlameProvider), &incident.Seen{Cause: checks.CauseDNS, Blame: checks.BlameNetwork}, runbook.DNS},
		"the rule, where its blame is another":           {with("export-held", checks.BlameOurs), &incident.Seen{Cause: checks.CauseServer, Blame: checks.BlameProvider}, "export-held"},
		"the rule, where there are no records":           {with("auth-failure", ""), nil, runbook.Key},
		"the blame, where nothing else is known":         {with("my-rule", checks.BlameApplication), nil, runbook.Application},
		"nothing is known":                               {with("my-rule", ""), &incident.Seen{}, runbook.CannotTell},
	}
	for name, tt := range tests {
		if got := incident.BranchOf(tt.in, tt.seen); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestThePostmortemTakesItsItemsFromThePageAndFromTheCourse(t *testing.T) {
	t.Parallel()
	for _, cause := range checks.Causes() {
		in, timeline := outage()
		in.Alerts, in.AckedAt, in.Commander = nil, time.Time{}, ""
		records := runs()
		for i := range records {
			if r := records[i].Report; r.Status == checks.Failed {
				r.Cause, r.Blame = cause.Cause, cause.Blame
			}
		}
		b := briefOf(at(50, 0), in, slices.DeleteFunc(timeline, func(e incident.Event) bool { return e.Kind == incident.EventAck }), seenOf(in, records))
		text := b.Postmortem(timeline)
		page := incident.BranchOf(in, b.Seen).Page(b.Setting)
		if len(page.Items) == 0 {
			t.Errorf("%s: the page %s has no items", cause.Cause, page.Branch)
		}
		if !strings.Contains(text, "Find out why nobody acknowledged the alert in time") {
			t.Errorf("%s: nobody acknowledged, and nothing follows from it", cause.Cause)
		}
		if n := strings.Count(text, "> TO BE WRITTEN BY A PERSON: "); n < 6 {
			t.Errorf("%s: %d parts are left to people, want 6", cause.Cause, n)
		}
	}
}

// A check that fails for another's fault at the same time is another trouble: it neither began this one nor is its cause.
func TestAnotherTroubleOfTheSameTimeIsNotTheCause(t *testing.T) {
	t.Parallel()
	in, _ := outage()
	for blame, want := range map[checks.Blame]checks.Cause{
		checks.BlameOurs: checks.CauseNone, checks.BlameAccount: checks.CauseNone,
		checks.BlameNetwork: checks.CauseServer, checks.BlameProvider: checks.CauseServer, checks.BlameNone: checks.CauseServer,
	} {
		in.Blame = blame
		s := seenOf(in, runs())
		if s.Cause != want || s.Began.IsZero() != (want == checks.CauseNone) || (s.Named == nil) != (want == checks.CauseNone) {
			t.Errorf("blamed on %q: got the cause %q, named by %v, begun at %s, want the cause %q", blame, s.Cause, s.Named, s.Began, want)
		}
		if s.Failed == 0 {
			t.Errorf("blamed on %q: no failed run is told", blame)
		}
	}
}
