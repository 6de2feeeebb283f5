package exec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/exec"
	"github.com/windsock-monitor/windsock/exporters"
)

const key = "canary-key-4711-abcdef"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A plugin's end is one verdict with one cause, and what is wrong with the plugin itself is never the target's fault.
func TestEveryEndIsAVerdict(t *testing.T) {
	t.Parallel()
	const argv = "argv: [/p]\n"
	for name, tc := range map[string]struct {
		params  string
		ended   checks.Ended
		status  checks.Status
		cause   checks.Cause
		blame   checks.Blame
		summary string
	}{
		"0":                          {argv, checks.Ended{Stdout: "fine\n"}, checks.OK, "", "", "fine"},
		"0, perfdata only":           {argv, checks.Ended{Stdout: "|a=1\n"}, checks.OK, "", "", "the plugin ended with 0 and printed no text"},
		"0, and nothing":             {argv, checks.Ended{}, checks.Unknown, checks.CauseMalformed, checks.BlameOurs, "the plugin ended with 0 and printed no text"},
		"0, and white space":         {argv, checks.Ended{Stdout: " \n|\n"}, checks.Unknown, checks.CauseMalformed, checks.BlameOurs, "the plugin ended with 0 and printed no text"},
		"1, and nothing":             {argv, checks.Ended{Code: 1}, checks.Degraded, checks.CauseAssertion, "", "the plugin ended with 1 and printed no text"},
		"2":                          {argv, checks.Ended{Code: 2, Stdout: "gone"}, checks.Failed, checks.CauseAssertion, "", "gone"},
		"2, blamed":                  {argv + "blame: network", checks.Ended{Code: 2, Stdout: "gone"}, checks.Failed, checks.CauseAssertion, "", "gone"},
		"3":                          {argv + "blame: network", checks.Ended{Code: 3, Stdout: "hm"}, checks.Unknown, checks.CauseConfig, "", "hm"},
		"the deadline":               {argv, checks.Ended{Code: -1, Signal: "killed", Stopped: checks.StopDeadline, Took: 2 * time.Second, Stdout: "OK\n"}, checks.Unknown, checks.CauseTimeout, checks.BlameOurs, "the plugin did not end within 2s and was stopped"},
		"the deadline, a failure":    {argv + "timeout_means: failed\nblame: local", checks.Ended{Code: 2, Stopped: checks.StopDeadline, Took: time.Second}, checks.Failed, checks.CauseTimeout, "", "the plugin did not end within 1s and was stopped"},
		"cut short":                  {argv, checks.Ended{Stopped: checks.StopCancelled, Stdout: "OK\n"}, checks.Unknown, checks.CauseInternal, "", "the run was cut short"},
		"a flood":                    {argv, checks.Ended{Stopped: checks.StopFlood, Code: -1, Signal: "killed", Cut: true}, checks.Unknown, checks.CauseResponseTooLarge, checks.BlameOurs, "the plugin printed without end and was killed"},
		"invalid bytes":              {argv, checks.Ended{Stdout: "a\xff\xfe\x1b[31mb\x00\u202e\r\n"}, checks.OK, "", "", "a\uFFFDb"},
		"a long line":                {argv, checks.Ended{Stdout: strings.Repeat("x", 1000)}, checks.OK, "", "", strings.Repeat("x", 297) + "…"},
		"a line cut within a number": {argv, checks.Ended{Stdout: "text|a=1 b=12", Cut: true}, checks.OK, "", "", "text"},
		"all of it one word, cut":    {argv, checks.Ended{Stdout: "texttext", Cut: true}, checks.Unknown, checks.CauseMalformed, checks.BlameOurs, "the plugin ended with 0 and printed no text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := judged(t, tc.params, tc.ended, nil)
			if err != nil || r.Status != tc.status || r.Cause != tc.cause || r.Blame != tc.blame || r.Summary != tc.summary {
				t.Errorf("got %s %q %q %q, %v", r.Status, r.Cause, r.Blame, r.Summary, err)
			}
			if len(r.Evidence) < 2 {
				t.Errorf("got the evidence %v", r.Evidence)
			}
			if got := values(r); name == "a line cut within a number" && len(got) != 1 {
				t.Errorf("got %v, want the half number dropped", got)
			}
		})
	}
}

func TestAPluginThatBreaksTheProtocolIsOurError(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ended checks.Ended
		err   error
		cause checks.Cause
		words string
	}{
		"a signal":     {ended: checks.Ended{Code: -1, Signal: "segmentation fault", Stdout: "OK\n"}, cause: checks.CauseInternal, words: "by a signal (segmentation fault): OK"},
		"4":            {ended: checks.Ended{Code: 4}, cause: checks.CauseInternal, words: "ended with 4"},
		"127":          {ended: checks.Ended{Code: 127, Stderr: "p: 1: jq: not found\n"}, cause: checks.CauseConfig, words: "ended with 127"},
		"126":          {ended: checks.Ended{Code: 126}, cause: checks.CauseConfig, words: "ended with 126"},
		"missing":      {err: fmt.Errorf("%w: %q", checks.ErrProgramMissing, "/p"), cause: checks.CauseConfig, words: `no such program: "/p"`},
		"refused":      {err: checks.ErrProgramRefused, cause: checks.CauseConfig, words: "not allowed"},
		"broken":       {err: checks.ErrProgramBroken, cause: checks.CauseConfig, words: "cannot be executed"},
		"no secret":    {err: checks.ErrNoSecret, cause: checks.CauseConfig, words: "no value for the secret"},
		"no processes": {err: errors.New("fork: resource temporarily unavailable"), cause: checks.CauseInternal, words: "fork"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := judged(t, "argv: [/p]", tc.ended, tc.err)
			if err == nil || r.Cause != tc.cause || !strings.Contains(err.Error(), tc.words) || len(r.Evidence) == 0 {
				t.Errorf("got %+v, %v, want %s and %q", r, err, tc.cause, tc.words)
			}
			if tc.ended.Stderr != "" && !strings.Contains(fmt.Sprint(r.Evidence), "jq: not found") {
				t.Errorf("got the evidence %v, want what the plugin wrote on standard error", r.Evidence)
			}
		})
	}
}

func TestWhatAPluginFindsIsItsOwnersFault(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]checks.Blame{
		"argv: [/p]": checks.BlameApplication, "{argv: [/p], blame: network}": checks.BlameNetwork, "{argv: [/p], blame: provider}": checks.BlameProvider,
	} {
		check, err := exec.Kind().New(checktest.Decoder(params, key), checks.Env{Spawn: &replay{}})
		if err != nil {
			t.Fatal(err)
		}
		owned, ok := check.(checks.Owned)
		if !ok || owned.Owner() != want {
			t.Errorf("%s: got %v, want %q", params, owned, want)
		}
	}
}

func TestWhatIsAskedOfTheAgent(t *testing.T) {
	t.Parallel()
	agent := &replay{ended: checks.Ended{Stdout: "OK"}}
	check, err := exec.Kind().New(checktest.Decoder("argv: [/p, -x]\nenv: {A: b}\nsecret_env: {PGPASSWORD: k}", key), checks.Env{Spawn: agent})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := check.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := agent.asked
	if fmt.Sprint(got.Argv, got.Env, got.Secrets) != "[/p -x] map[A:b] map[PGPASSWORD:[redacted]]" || got.Grace <= 0 {
		t.Errorf("got %+v", got)
	}
}

func TestWithoutPermissionThereIsNoCheck(t *testing.T) {
	t.Parallel()
	check, err := exec.Kind().New(checktest.Decoder("argv: [/p]", key), checks.Env{})
	var param *checks.ParamError
	if check != nil || !errors.As(err, &param) || param.Path != "argv.0" || !strings.Contains(err.Error(), "programs: {directories:") {
		t.Errorf("got %v, %v, want the place and what to write", check, err)
	}
}

func TestOutputByTheRulesOfThePluginAPI(t *testing.T) {
	t.Parallel()
	// The example of the API's own page: long text between the two halves of the performance data.
	r, err := judged(t, "argv: [/p]", checks.Ended{Stdout: "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n" +
		"/ 15272 MB (77%);\n/boot 68 MB (69%);\n/home 69357 MB (27%);\n" +
		"/var/log 819 MB (84%); | /boot=68MB;88;93;0;98\n/home=69357MB;253404;253409;0;253414\n/var/log=818MB;970;975;0;980\n"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const mb = 1 << 20
	want := []value{
		{"probe.exec.size", "/", "", 2643 * mb},
		{"probe.exec.size", "/boot", "", 68 * mb},
		{"probe.exec.size", "/home", "", 69357 * mb},
		{"probe.exec.size", "/var/log", "", 818 * mb},
	}
	if diff := cmp.Diff(want, values(r)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if got := r.Facts["long_text"]; got != "/ 15272 MB (77%); /boot 68 MB (69%); /home 69357 MB (27%); /var/log 819 MB (84%);" {
		t.Errorf("got the long text %q", got)
	}
}

func TestPerformanceDataIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a=1":                       "value a 1",
		"a=1;2;3;4;5":               "value a 1",
		"a=1;;;;":                   "value a 1",
		"a=-1.5e3":                  "value a -1500",
		"a=+.5":                     "value a 0.5",
		"a=1,5s":                    "time a 1.5",
		"a=250ms b=3us c=4µs d=5ns": "time a 0.25; time b 3e-06; time c 4e-06; time d 5e-09",
		"a=1B b=1KB c=1kB d=2MB e=3GB f=1TB g=1KiB": "size a 1; size b 1024; size c 1024; size d 2.097152e+06; size e 3.221225472e+09; size f 1.099511627776e+12; size g 1024",
		"a=99.5%":                              "percent a 99.5",
		"a=123456c":                            "counter a 123456",
		"a=21.5C b=700rpm c=3iB d=1b":          "value a 21.5 C; value b 700 rpm; value c 3 iB; value d 1 b",
		"'a b'=1 'it''s'=2 '='=3 c:\\=4":       "value a b 1; value it's 2; value = 3; value c:\\ 4",
		"a=1, b=2,":                            "value a 1; value b 2",
		"a=U b=U;1;2 c=u":                      "!3 unknown",
		"a=1 a=2":                              "value a 1 !1 values, 1 with a label that was there already",
		"a=1 junk b=2":                         "value a 1; value b 2 !2 values, 1 malformed",
		"a= b=x c=1:2 d=1.2.3 e=1.000,5 f=NaN": "!6 malformed",
		"a=0x10 b=Inf c=1e999":                 "!3 malformed",
		"=1 ''=2 '   '=3":                      "!3 malformed",
		"'a=1 b=2":                             "value b 2 !1 values, 1 malformed",
		"'a'b=1":                               "!1 malformed",
		"a=1;2;3;4;5;6":                        "!1 malformed",
		"\x1b[31m=1 \xff=2":                    "value \uFFFD 2 !1 values, 1 malformed",
		"a=1\tb=2\nlong|c=3":                   "value a 1; value b 2; value c 3",
		"":                                     "",
	} {
		r, err := judged(t, "argv: [/p]", checks.Ended{Stdout: "text|" + text}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, v := range values(r) {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %g %s", strings.TrimPrefix(v.Name, "probe.exec."), v.Label, v.Value, v.Unit)))
		}
		got := strings.Join(parts, "; ")
		for _, step := range r.Evidence {
			if step.Name == "perfdata" && !step.OK {
				got = strings.TrimSpace(got + " !" + step.Detail)
			}
		}
		if got != want {
			t.Errorf("%q\n got %q\nwant %q", text, got, want)
		}
	}
}

func TestThresholdsTellWhichValueIsBeyond(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a=5;10;20":          "",
		"a=15;10;20":         "warning: a is beyond 10",
		"a=25;10;20":         "critical: a is beyond 20",
		"a=-1;10":            "warning: a is beyond 10",
		"a=5;10:":            "warning: a is beyond 10:",
		"a=5;~:10":           "",
		"a=-5;~:10":          "",
		"a=11;~:10":          "warning: a is beyond ~:10",
		"a=5;10:20":          "warning: a is beyond 10:20",
		"a=15;@10:20":        "warning: a is beyond @10:20",
		"a=25;@10:20":        "",
		"a=300ms;200;500":    "warning: a is beyond 200",
		"a=300ms;0.2s;0.5s":  "warning: a is beyond 0.2s",
		"a=2KB;;1":           "critical: a is beyond 1",
		"a=2;x;@;:;1:2:3":    "",
		"a=5;:4":             "",
		"a=U;0;0":            "",
		"'a  b'=5;1 'c'=7;1": "warning: a b is beyond 1 | warning: c is beyond 1",
	} {
		r, err := judged(t, "argv: [/p]", checks.Ended{Stdout: "text|" + text, Code: 2}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, s := range r.Evidence {
			if s.Name == "warning" || s.Name == "critical" {
				steps = append(steps, s.Name+": "+s.Detail)
			}
		}
		if got := strings.Join(steps, " | "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestPerformanceDataIsBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("text|")
	for i := range 100_000 {
		fmt.Fprintf(&b, "'label %d %s'=%d;1;2 ", i, strings.Repeat("x", i%200), i)
	}
	r, err := judged(t, "argv: [/p]", checks.Ended{Stdout: b.String(), Code: 1}, nil)
	if err != nil || len(r.Measurements) != 100 || r.Status != checks.Degraded {
		t.Errorf("got %d values, %s, %v, want 100", len(r.Measurements), r.Status, err)
	}
	if text := fmt.Sprint(r.Evidence); !strings.Contains(text, "beyond the bound") {
		t.Errorf("got the evidence %v, want the rest counted", r.Evidence)
	}
}

// What a plugin calls its values cannot become a name of the catalogue, and every name that the check uses is in it.
func TestNamesAreOfTheCatalogue(t *testing.T) {
	t.Parallel()
	r, err := judged(t, "argv: [/p]", checks.Ended{Stdout: "text|probe.success=0 windsock.uptime=5s a=1% b=2B c=3c"}, nil)
	if err != nil || len(r.Measurements) != 5 {
		t.Fatalf("got %+v, %v", r, err)
	}
	for _, m := range r.Measurements {
		row, known := exporters.Lookup(m.Name)
		if !known || row.Unit != m.Unit || row.Kind != exporters.Gauge || !strings.HasPrefix(m.Name, "probe.exec.") {
			t.Errorf("got %+v, want a gauge of the catalogue in its unit", m)
		}
	}
}

func TestParametersAreStrict(t *testing.T) {
	t.Parallel()
	for params, path := range map[string]string{
		"{}":                             "argv",
		"argv: []":                       "argv",
		"argv: [check_http]":             "argv.0",
		"argv: [/a/../b]":                "argv.0",
		"argv: [/]":                      "argv.0",
		`argv: [/p, "a\0b"]`:             "argv.1",
		"argv: [/p, --password=hunter2]": "argv.1",
		"argv: [/p, --token, x]":         "argv.1",
		"argv: [/p, " + strings.Repeat("a, ", 128) + "a]": "argv",
		"argv: [/p, " + strings.Repeat("a", 9000) + "]":   "argv.1",
		`{argv: [/p], env: {"A=B": x}}`:                   "env.A=B",
		`{argv: [/p], env: {WINDSOCK_RUN: x}}`:            "env.WINDSOCK_RUN",
		`{argv: [/p], env: {A: "a\0b"}}`:                  "env.A",
		`{argv: [/p], env: {A: x}, secret_env: {A: x}}`:   "env.A",
		`{argv: [/p], secret_env: {"1A": x}}`:             "secret_env.1A",
		`{argv: [/p], timeout_means: ok}`:                 "timeout_means",
		`{argv: [/p], blame: you}`:                        "blame",
		`{argv: [/p], blame: skipped}`:                    "blame",
	} {
		err := exec.Kind().Validate(checktest.Decoder(params, key))
		var param *checks.ParamError
		if !errors.As(err, &param) || param.Path != path {
			t.Errorf("%.60s: got %v, want it refused at %s", params, err, path)
		}
	}
	for _, params := range []string{exec.Example(), "argv: [/p, --password-file=/etc/x, -p, a=b]"} {
		if err := exec.Kind().Validate(checktest.Decoder(params, key)); err != nil {
			t.Errorf("%q: %v", params, err)
		}
	}
}

func FuzzOutput(f *testing.F) {
	for _, seed := range []string{
		"", "OK", "OK|a=1", "OK | 'a b'=1,5ms;@1:2;~:10;0;100 c=U\nlong\n|d=2KB\ne=3", "|||", "a|'", "a|'='=;;;;", "\xff|\xff=1\xff",
		"a|b=1e999", "a|b=" + strings.Repeat("9", 400), "a|" + strings.Repeat("x=1 ", 200), "LOAD OK|load1=19.520;50.000;90.000;0; ",
	} {
		f.Add(seed, 0, false)
		f.Add(seed, 2, true)
	}
	f.Fuzz(func(t *testing.T, stdout string, code int, cut bool) {
		agent := &replay{ended: checks.Ended{Stdout: stdout, Stderr: stdout, Code: code, Cut: cut}}
		check, err := exec.Kind().New(checktest.Decoder("argv: [/p]", key), checks.Env{Spawn: agent})
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.Run(t.Context())
		if (err != nil) != (code < 0 || code > 3) {
			t.Fatalf("code %d: got %v", code, err)
		}
		if err != nil {
			r.Status, r.Summary = checks.Error, err.Error()
		}
		if err := checktest.Valid(r); err != nil {
			t.Errorf("%q: %v", stdout, err)
		}
		for _, p := range exporters.Points(checks.OfReport(&checks.Report{Check: "c", Kind: "exec", ScheduledAt: time.Unix(1, 0), Final: true, Result: r})) {
			if strings.HasPrefix(p.Name, "probe.exec.") && len(p.Attrs) < 3 {
				t.Errorf("%q: point %+v has lost its label", stdout, p)
			}
		}
	})
}
