package datadog_test

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/datadog"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func recently() time.Time { return time.Now().Add(-time.Minute).UTC().Truncate(time.Second) }

func ran(id string, at time.Time, result checks.Result) checks.Record {
	return checks.OfReport(&checks.Report{
		ID: id, Check: "chat-small", Kind: "chat", Provider: "mistral", Location: "PAR1 vm7", StartedAt: at,
		ScheduledAt: at, Took: 0, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1, Result: result,
	})
}

func paid(id string, at time.Time, cost checks.PicoUSD) checks.Record {
	result := checks.Pass("pong")
	result.Usage = &checks.Usage{Model: "mistral-small-latest", Cost: cost, PriceKnown: true}
	return ran(id, at, result)
}

func TestLinesAreByteExact(t *testing.T) {
	hermetic(t)
	at := recently()
	unix := strconv.FormatInt(at.Unix(), 10)
	const tags = "check:chat-small,kind:chat,location:par1_vm7,provider:mistral"
	const global = "env:production,service:check_out"
	measured := checks.Pass("pong")
	measured.Measurements = []checks.Measurement{
		{Name: "probe.llm.time_to_first_token", Value: 0.35, Unit: "s", Attrs: map[string]string{"model": "Mistral Small|Latest"}},
		{Name: "shop.basket", Value: 3, Attrs: map[string]string{"city": "Nîmes, Gard"}},
	}
	tests := map[string]struct {
		record checks.Record
		want   []string
	}{
		"a run that is well": {
			ran("1", at, measured), []string{
				"windsock.probe.success:1|g|#" + global + "," + tags + "|T" + unix,
				"windsock.probe.duration:0|g|#" + global + "," + tags + "|T" + unix,
				"windsock.probe.llm.time_to_first_token:0.35|g|#" + global + ",check:chat-small,kind:chat,location:par1_vm7,model:mistral_small_latest,provider:mistral|T" + unix,
				"windsock.shop.basket:3|g|#" + global + ",check:chat-small,city:nîmes__gard,kind:chat,location:par1_vm7,provider:mistral|T" + unix,
				"_sc|windsock.check|0|d:" + unix + "|#" + global + "," + tags + "|m:pong",
				"windsock.probe.runs:1|c|#" + global + ",check:chat-small,kind:chat,location:par1_vm7,provider:mistral,status:ok|T" + unix,
			},
		},
		"a failed run": {
			ran("2", at, checks.Fail(checks.CauseServer, "503|server\nm: later")), []string{
				"windsock.probe.success:0|g|#" + global + "," + tags + "|T" + unix,
				"windsock.probe.duration:0|g|#" + global + "," + tags + "|T" + unix,
				"_sc|windsock.check|2|d:" + unix + "|#" + global + "," + tags + "|m:server: 503/server m\\: later",
				"windsock.probe.runs:1|c|#" + global + ",check:chat-small,kind:chat,location:par1_vm7,provider:mistral,status:failed|T" + unix,
				"windsock.probe.failures:1|c|#" + global + ",cause:server,check:chat-small,kind:chat,location:par1_vm7,provider:mistral|T" + unix,
			},
		},
		"money is a count too, though no integer": {
			paid("3", at, 1_900_000), []string{
				"windsock.probe.success:1|g|#" + global + "," + tags + "|T" + unix,
				"windsock.probe.duration:0|g|#" + global + "," + tags + "|T" + unix,
				"windsock.probe.llm.price.known:1|g|#" + global + "," + tags[:strings.Index(tags, ",provider:")] + ",model:mistral-small-latest" + tags[strings.Index(tags, ",provider:"):] + "|T" + unix,
				"_sc|windsock.check|0|d:" + unix + "|#" + global + "," + tags + "|m:pong",
				"windsock.probe.runs:1|c|#" + global + ",check:chat-small,kind:chat,location:par1_vm7,provider:mistral,status:ok|T" + unix,
				"windsock.probe.llm.cost.usd:0.0000019|c|#" + global + ",check:chat-small,kind:chat,location:par1_vm7,model:mistral-small-latest,provider:mistral|T" + unix,
			},
		},
		"an alert": {
			checks.Record{ID: "4", At: at, Alert: &checks.Alert{
				Rule: "api-down", Fingerprint: "f00d", State: checks.AlertFiring, Severity: checks.P1, Blame: checks.BlameProvider,
				Since: at, At: at, Value: 3, Threshold: 3, Labels: map[string]string{"check": "chat-small"}, Runbook: "api-down",
			}}, []string{
				"windsock.windsock.alert.state",
				"_e{23,158}:[P1] api-down is firing|runbook: https://github.com/windsock-monitor/windsock/blob/main/docs/runbook/api-down.md\\nblame: provider\\nvalue: 3\\nthreshold: 3\\nsince: " + at.Format(time.RFC3339) + "|d:" + unix +
					"|k:f00d|p:normal|s:windsock|t:error|#" + global + ",blame:provider,rule:api-down,severity:p1,state:firing,check:chat-small",
				"_sc|windsock.alert|2|d:" + unix + "|#" + global + ",rule:api-down,check:chat-small|m:P1",
			},
		},
	}
	tests["an alert"].want[0] = "windsock.alert.state:2|g|#" + global + ",check:chat-small,rule:api-down,severity:p1|T" + unix
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			a := listenUnix(t, path)
			e := build(t, "address: unix://"+path+"\n", exporters.Env{Labels: map[string]string{"env": "production", "service": "Check Out"}})
			export(t, e, tt.record)
			if diff := cmp.Diff(tt.want, a.lines(t, len(tt.want))); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryPointArrivesWithItsTime(t *testing.T) {
	hermetic(t)
	ways := map[string]func(t *testing.T) (*agent, string){
		"over a datagram socket": func(t *testing.T) (*agent, string) {
			t.Helper()
			path := socketPath(t)
			return listenUnix(t, path), "unix://" + path
		},
		"over a stream socket by name": func(t *testing.T) (*agent, string) {
			t.Helper()
			path := socketPath(t)
			return listenStream(t, path), "unixstream://" + path
		},
		"over a stream socket found out": func(t *testing.T) (*agent, string) {
			t.Helper()
			path := socketPath(t)
			return listenStream(t, path), "unix://" + path
		},
		"over UDP": listenUDP,
	}
	for name, listen := range ways {
		t.Run(name, func(t *testing.T) {
			a, addr := listen(t)
			way, err := outbound.New(outbound.Options{})
			if err != nil {
				t.Fatal(err)
			}
			e := build(t, "address: \""+addr+"\"\n", exporters.Env{Network: way})
			batch := exportertest.RecordsFrom(recently().Add(-5*time.Minute), 60, 1)
			for _, rec := range batch { // one after the other, as an idle agent does
				export(t, e, rec)
			}
			want := map[string]bool{}
			for _, rec := range batch {
				for _, p := range exporters.Points(rec) {
					want[slotOf(p)] = true
				}
			}
			lines := a.until(t, func(lines []string) bool { return len(missing(want, lines)) == 0 })
			for _, slot := range missing(want, lines) {
				t.Errorf("%s did not arrive", slot)
			}
		})
	}
}

func missing(want map[string]bool, lines []string) []string {
	rest := maps.Clone(want)
	for _, line := range lines {
		delete(rest, slotOfLine(line))
	}
	return slices.Collect(maps.Keys(rest))
}

// slotOf and slotOfLine are (name, tags, second). The samples' tags need no cleaning but case and the î of Nîmes.
func slotOf(p exporters.Point) string {
	var tags []string
	for _, a := range p.Attrs {
		tags = append(tags, strings.ToLower(a.Key+":"+a.Value))
	}
	return exporters.DatadogName(p.Name) + "#" + strings.Join(tags, ",") + "@" + strconv.FormatInt(p.At.Unix(), 10)
}

func slotOfLine(line string) string {
	name, rest, _ := strings.Cut(line, ":")
	_, tags, _ := strings.Cut(rest, "|#")
	tags, at, _ := strings.Cut(tags, "|T")
	return name + "#" + tags + "@" + at
}

func TestIncrementsOfOneSecondAreOneCount(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	with := "address: unix://" + path + "\n"
	at := recently()
	e := build(t, with, exporters.Env{})
	runs := func(lines []string) []string { return having(lines, "probe.runs:") }

	first := export(t, e, ran("1", at, checks.Pass("a")), ran("2", at.Add(400*time.Millisecond), checks.Pass("b")))
	if got := runs(a.lines(t, 7)); len(got) != 1 || !strings.HasPrefix(got[0], "windsock.probe.runs:2|c|") {
		t.Errorf("two runs in one second in one batch are %q, want one count of 2", got)
	}
	second := export(t, e, ran("3", at.Add(600*time.Millisecond), checks.Pass("c")))
	if got := runs(a.lines(t, 11)); !strings.HasPrefix(got[len(got)-1], "windsock.probe.runs:3|c|") {
		t.Errorf("a third run of that second, in the next batch, is %q, want a count of 3", got[len(got)-1])
	}
	export(t, e, ran("3", at.Add(600*time.Millisecond), checks.Pass("c")))
	if got := runs(a.lines(t, 15)); !strings.HasPrefix(got[len(got)-1], "windsock.probe.runs:3|c|") {
		t.Errorf("the same batch again is %q, want a count of 3", got[len(got)-1])
	}
	after := build(t, with, exporters.Env{State: second.State})
	export(t, after, ran("4", at.Add(700*time.Millisecond), checks.Pass("d")))
	if got := runs(a.lines(t, 19)); !strings.HasPrefix(got[len(got)-1], "windsock.probe.runs:4|c|") {
		t.Errorf("after a restart it is %q, want a count of 4", got[len(got)-1])
	}
	before := build(t, with, exporters.Env{State: first.State})
	export(t, before, ran("3", at.Add(600*time.Millisecond), checks.Pass("c")))
	if got := runs(a.lines(t, 23)); !strings.HasPrefix(got[len(got)-1], "windsock.probe.runs:3|c|") {
		t.Errorf("after a kill before the commit it is %q, want a count of 3", got[len(got)-1])
	}
	late := export(t, after, ran("5", at.Add(30*time.Second), checks.Pass("e")))
	if strings.Contains(string(late.State), strconv.FormatInt(at.Unix(), 10)) {
		t.Errorf("a second that is long gone is still in the state: %s", late.State)
	}
}

func TestServiceChecksSayWhatIsKnown(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	e := build(t, "address: unix://"+path+"\n", exporters.Env{})
	at := recently()
	tests := []struct {
		result checks.Result
		want   string
	}{
		{checks.Pass("a"), "0"},
		{checks.Degrade(checks.CauseSlow, "b"), "1"},
		{checks.Fail(checks.CauseServer, "c"), "2"},
		{checks.Undetermined(checks.CauseInternal, "d"), "3"},
		{checks.Result{Status: checks.Error, Cause: checks.CauseConfig, Summary: "e"}, "3"},
		{checks.Skip(checks.CauseBudget, "f"), "3"},
	}
	var batch []checks.Record
	for i, tt := range tests {
		batch = append(batch, ran(strconv.Itoa(i), at, tt.result))
	}
	unconfirmed := ran("u", at, checks.Fail(checks.CauseServer, "unconfirmed"))
	unconfirmed.Report.Final = false
	export(t, e, append(batch, unconfirmed)...)
	lines := having(a.lines(t, 1), "_sc|")
	if len(lines) != len(tests) {
		t.Fatalf("%d service checks, want %d: %q", len(lines), len(tests), lines)
	}
	for i, tt := range tests {
		if want := "_sc|windsock.check|" + tt.want + "|"; !strings.HasPrefix(lines[i], want) {
			t.Errorf("%s is %q, want %q", tt.result.Status, lines[i], want)
		}
	}
}

func TestWhatIsTooOldIsNotSent(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	e := build(t, "address: unix://"+path+"\n", exporters.Env{})
	now := time.Now().UTC()
	alert := func(id string, at time.Time) checks.Record {
		return checks.Record{ID: id, At: at, Alert: &checks.Alert{Rule: id, State: checks.AlertResolved, Severity: checks.P3, At: at}}
	}
	out := export(t, e,
		ran("old", now.Add(-61*time.Minute), checks.Pass("old")),
		ran("half", now.Add(-11*time.Minute), checks.Pass("half")),
		ran("young", now.Add(-time.Minute), checks.Pass("young")),
		alert("old-alert", now.Add(-19*time.Hour)),
		alert("late-alert", now.Add(-2*time.Hour)),
		ran("future", now.Add(time.Hour), checks.Pass("future")),
	)
	want := []exporters.Rejection{{Index: 0, Reason: datadog.ReasonTooOld}, {Index: 3, Reason: datadog.ReasonTooOld}, {Index: 5, Reason: datadog.ReasonTooOld}}
	if diff := cmp.Diff(want, out.Rejected); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	lines := a.lines(t, 8)
	if got := len(having(lines, "_sc|")); got != 1 {
		t.Errorf("%d service checks, want that of the young run only", got)
	}
	if got := having(lines, "_e{"); len(got) != 1 || !strings.Contains(got[0], "late-alert") {
		t.Errorf("events %q, want the late one only", got)
	}
	if got := len(having(lines, "probe.success")); got != 2 {
		t.Errorf("%d values of probe.success, want 2", got)
	}
}

// TestPartsThatAreTooOldAreCounted: the metrics of a run eleven minutes ago are taken, its service check is not.
func TestPartsThatAreTooOldAreCounted(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	e := build(t, "address: unix://"+path+"\n", exporters.Env{})
	out := export(t, e, ran("half", time.Now().UTC().Add(-11*time.Minute), checks.Pass("half")))
	if len(out.Rejected) != 0 || out.RejectedPoints != 1 {
		t.Errorf("rejected %v and %d points, want one point: the service check", out.Rejected, out.RejectedPoints)
	}
	a.lines(t, 2)
}

func TestPacketsKeepTheirSize(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	e := build(t, "address: unix://"+path+"\nmax_message_bytes: 700\n", exporters.Env{})
	at := recently()
	var batch []checks.Record
	for i := range 50 {
		batch = append(batch, paid(strconv.Itoa(i), at.Add(-time.Duration(i)*time.Second), 1_234_567))
	}
	wide := ran("wide", at, checks.Pass("wide"))
	attrs := map[string]string{}
	for i := range 10 {
		attrs[fmt.Sprintf("attribute_%d", i)] = strings.Repeat("x", 120)
	}
	wide.Report.Measurements = []checks.Measurement{{Name: "shop.x", Value: 1, Attrs: attrs}}
	out := export(t, e, append(batch, wide)...)
	if got := len(having(a.lines(t, 303), "cost.usd:0.000001234567|c|")); got != 50 {
		t.Errorf("%d costs arrived, want 50", got)
	}
	if got := a.largest(); got > 700 {
		t.Errorf("a packet has %d bytes, want at most 700", got)
	}
	if len(out.Rejected) != 0 || out.RejectedPoints != 1 {
		t.Errorf("rejected %v and %d points, want no record and the point that fits into no packet", out.Rejected, out.RejectedPoints)
	}
}

func TestAFullQueueEndsWithTheDeadline(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}) // and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	e := build(t, "address: unix://"+path+"\ntimeout: 100ms\n", exporters.Env{})
	batch := exportertest.RecordsFrom(recently().Add(-10*time.Minute), 2000, 1)
	if _, err := e.Export(t.Context(), batch); exportertest.ClassOf(err) != exportertest.Retry {
		t.Fatalf("%v (%s), want Retry", err, exportertest.ClassOf(err))
	}
	drain(t, conn)
	if _, err := e.Export(t.Context(), batch[:5]); err != nil {
		t.Errorf("after the Agent has read its queue: %v", err)
	}
}

func drain(t *testing.T, conn *net.UnixConn) {
	t.Helper()
	packet := make([]byte, 1<<16)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(packet); err != nil {
			return
		}
	}
}

func TestTheSocketComesBack(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	e := build(t, "address: unix://"+path+"\n", exporters.Env{})
	rec := ran("1", recently(), checks.Pass("a"))
	attempt := func(what string, want exportertest.Class) {
		t.Helper()
		_, err := e.Export(t.Context(), []checks.Record{rec})
		if got := exportertest.ClassOf(err); got != want {
			t.Errorf("%s: %v (%s), want %s", what, err, got, want)
		}
	}
	attempt("before the Agent is there", exportertest.Retry)
	first, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	attempt("with the Agent", exportertest.Accepted)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(path)
	attempt("while it restarts", exportertest.Retry)
	a := listenUnix(t, path)
	attempt("after it has restarted", exportertest.Accepted)
	if got := len(a.lines(t, 4)); got != 4 {
		t.Errorf("%d lines came to the new Agent, want 4", got)
	}
}

func TestUnifiedTagsComeOnce(t *testing.T) {
	labels := map[string]string{"env": "production", "service": "checkout", "version": "7", "team": "Search"}
	variables := map[string]string{"DD_ENV": "staging", "DD_VERSION": "8"}
	tests := map[string]struct {
		process map[string]string
		getenv  map[string]string
		want    string
	}{
		"labels": {nil, nil, "env:production,service:checkout,team:search,tier:1,version:7"},
		"variables stand above labels": {
			nil, variables, "env:staging,service:checkout,team:search,tier:1,version:8",
		},
		"variables that the library reads too": {
			variables, variables, "service:checkout,team:search,tier:1,env:staging,version:8",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			hermetic(t)
			for k, v := range tt.process {
				t.Setenv(k, v)
			}
			path := socketPath(t)
			a := listenUnix(t, path)
			e := build(t, "address: unix://"+path+"\ntags: [\"Tier:1\"]\n", exporters.Env{
				Labels: labels, Getenv: func(k string) string { return tt.getenv[k] },
			})
			export(t, e, paid("1", recently(), 5))
			for _, line := range a.lines(t, 5) {
				if !strings.Contains(line, "|#"+tt.want+",check:chat-small,") {
					t.Errorf("%q has not the tags %q", line, tt.want)
				}
			}
		})
	}
}

func TestTheAddressIsFound(t *testing.T) {
	hermetic(t)
	tests := map[string]struct {
		with   string
		getenv map[string]string
		want   string // in the error where nobody listens
	}{
		"the socket by default":      {"", nil, "unix:///var/run/datadog/dsd.socket"},
		"DD_DOGSTATSD_URL":           {"", map[string]string{"DD_DOGSTATSD_URL": "unix:///nowhere/dsd.socket", "DD_AGENT_HOST": "x"}, "unix:///nowhere/dsd.socket"},
		"DD_AGENT_HOST":              {"", map[string]string{"DD_AGENT_HOST": "::1", "DD_DOGSTATSD_PORT": "1"}, "udp://[::1]:1"},
		"the parameter stands above": {"address: unix:///nowhere/else\n", map[string]string{"DD_DOGSTATSD_URL": "unix:///nowhere/dsd.socket"}, "unix:///nowhere/else"},
		"a path alone":               {"address: /nowhere/path\n", nil, "unix:///nowhere/path"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := build(t, tt.with, exporters.Env{Getenv: func(k string) string { return tt.getenv[k] }})
			_, err := e.Export(t.Context(), []checks.Record{ran("1", recently(), checks.Pass("a"))})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error about %s", err, tt.want)
			}
		})
	}
	_, err := datadog.New(datadog.Params{Timeout: time.Second}, exporters.Env{Getenv: func(k string) string {
		return map[string]string{"DD_DOGSTATSD_URL": "http://u:secret@h"}[k]
	}})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a bad variable gives %v, want an error without its text", err)
	}
}

func TestTheNamespaceStandsInFront(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	e := build(t, "address: unix://"+path+"\nnamespace: acme\n", exporters.Env{})
	export(t, e, ran("1", recently(), checks.Pass("a")))
	for _, line := range a.lines(t, 4) {
		if !strings.HasPrefix(line, "acme.windsock.") && !strings.HasPrefix(line, "_sc|acme.windsock.check|") {
			t.Errorf("%q does not begin with the namespace", line)
		}
	}
}

func BenchmarkExport(b *testing.B) {
	path := b.TempDir() + "/dsd.socket"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	defer func() { _ = conn.Close() }()
	e, err := datadog.New(datadog.Params{Address: "unix://" + path, Timeout: time.Minute}, exporters.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	batch := exportertest.RecordsFrom(recently().Add(-10*time.Minute), 100, 1)
	b.ReportAllocs()
	begun := cpu()
	for b.Loop() {
		if _, err := e.Export(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu()-begun)/1e3/float64(b.N)/float64(len(batch)), "cpu-us/record") // the listener's too
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
