package plugintest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/plugins/plugintest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.Remove(binary())
		os.Exit(code) //nolint:forbidigo // goleak leaves it to the function
	}))
}

func binary() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("windsock-plugintest-%d", os.Getpid()))
}

// built builds the plugin of testdata once.
func built(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues( //nolint:gochecknoglobals // built once for all tests
	func() (string, error) {
		path := binary()
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, "./testdata/plugin").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("building: %w\n%s", err, out)
		}
		return path, nil
	})

const parameters = `{
  "kinds": {
    "probe": {
      "timeout": "2s",
      "good": {"address": "{{http}}", "note": "a", "more": {"list": [{"word": "b"}]}, "password": {"secret": "pw"}},
      "unreachable": {"address": "{{unreachable}}", "password": {"secret": "pw"}},
      "black_hole": {"address": "{{blackhole}}"}
    },
    "lake": {
      "good": {"address": "{{http}}", "password": {"secret": "pw"}},
      "unreachable": {"address": "{{unreachable}}", "password": {"secret": "pw"}},
      "black_hole": {"address": "{{blackhole}}"}
    }
  },
  "secrets": {"pw": "pw-{{secret}}"}
}`

func config(t *testing.T, bad string) plugintest.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conformance.json")
	if err := os.WriteFile(path, []byte(parameters), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := plugintest.ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if bad != "" {
		c.Env = map[string]string{"PLUGINTEST_BAD": bad}
	}
	return c
}

func run(t *testing.T, o plugintest.Options) plugintest.Report {
	t.Helper()
	r, err := plugintest.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(r plugintest.Report) string {
	var b strings.Builder
	for _, c := range r.Cases {
		b.WriteString(c.String())
	}
	return b.String() + r.Badge()
}

func numbers(r plugintest.Report, o plugintest.Outcome) []int {
	out := []int{}
	for _, c := range r.Cases {
		if c.Outcome == o {
			out = append(out, c.Number)
		}
	}
	return out
}

func TestAPluginThatKeepsItsPromisesPassesAll(t *testing.T) {
	t.Parallel()
	r := run(t, plugintest.Options{Path: built(t), Config: config(t, "")})
	if r.Level != plugintest.LevelRecommended || len(r.Cases) != 28 || r.Count(plugintest.OK) != 28 {
		t.Errorf("got %s", text(r))
	}
	if r.Plugin != "shop" || r.Version != "1.2.3" || r.Badge() != "agent plugin protocol 1, level recommended" {
		t.Errorf("got %s %s, %q", r.Plugin, r.Version, r.Badge())
	}
}

func TestAFloodThatIsReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := run(t, plugintest.Options{Path: built(t), Config: config(t, "floods-stdout-once"), Only: []string{"run", "24", "26"}})
	if !r.Passed() {
		t.Errorf("got %s", text(r))
	}
}

// promise is one promise that the plugin breaks: which cases find it, and what one of them says.
type promise struct {
	cases []int
	says  string
}

func promises() map[string]promise {
	return map[string]promise{
		"noise":                  {[]int{1}, `the first line on standard output is "welcome to the plugin"`},
		"slow-start":             {[]int{1}, "no line on standard output within 10s"},
		"no-cookie":              {[]int{1}, "without the cookie WINDSOCK_PLUGIN_COOKIE it made a handshake"},
		"silent-without-cookie":  {[]int{1}, "ended without a word"},
		"no-mtls":                {[]int{2}, "it has no certificate in its handshake"},
		"not-serving":            {[]int{3}, `the health of "plugin" is NOT_SERVING`},
		"no-controller":          {[]int{4, 27}, "it has no plugin.GRPCController"},
		"exit-code":              {[]int{4}, "ended with exit code 7"},
		"slow-exit":              {[]int{4, 27}, "it had not ended 2s after"},
		"ignores-sigterm":        {[]int{5}, "it had not ended 2s after SIGTERM"},
		"orphan":                 {[]int{6}, "it still ran 5s after the agent was killed"},
		"describe-differs":       {[]int{7}, "the answer of Describe differs the second time"},
		"describe-slow":          {[]int{7}, "the answer of Describe took 1.2"},
		"open-schema":            {[]int{7}, `its schema lacks "additionalProperties": false`},
		"no-docs":                {[]int{7}, `kind "lake" has no documentation`},
		"bad-version":            {[]int{7}, `its version is "one"`},
		"no-pointer":             {[]int{9}, `want one at "/address"`},
		"error-of-call":          {[]int{9, 10}, "Configure is an error of the call"},
		"takes-unknown":          {[]int{9}, "nothing was found wrong"},
		"validate-keeps":         {[]int{10}, "that was only validated answered OK, want FailedPrecondition"},
		"release-keeps":          {[]int{11}, "that was released answered OK"},
		"release-unknown":        {[]int{11}, "of an instance that is not there: "},
		"fifty-instances":        {[]int{11}, "of a hundred: "},
		"unknown-is-internal":    {[]int{9, 10, 11, 12}, "never configured answered Internal"},
		"nan":                    {[]int{13}, "NaN"},
		"unannounced":            {[]int{13}, `the measurement "shop.secretly" is not announced`},
		"other-unit":             {[]int{13}, `has the unit "ms", and "s" is announced`},
		"no-summary":             {[]int{13}, `its summary is ""`},
		"costs":                  {[]int{13}, "the run cost 5 pico-dollar, and at most 0 are announced"},
		"refused-is-error":       {[]int{14}, "of a target that refuses the run says STATUS_ERROR"},
		"refused-is-ok":          {[]int{14}, "of a target that refuses the run says STATUS_OK"},
		"ignores-deadline":       {[]int{15}, "its connection was still open"},
		"ignores-cancel":         {[]int{16}, "went on beyond its timeout of 3s"},
		"not-concurrent":         {[]int{17}, "with 32 at the same time: "},
		"leaks-files":            {[]int{18}, "its open descriptors went from"},
		"leaks-memory":           {[]int{18}, "its memory in KiB went from"},
		"rejects-beyond":         {[]int{19}, "rejections in a batch of 0 records"},
		"rejects-without-reason": {[]int{19}, "without a reason"},
		"empty-is-error":         {[]int{19}, "an export of no record is an error of the call"},
		"away-is-done":           {[]int{20}, "is DISPOSITION_DONE"},
		"away-is-error":          {[]int{20}, "is an error of the call"},
		"no-grease":              {[]int{21}, "with unknown fields"},
		"unknown-enum":           {[]int{21}, "is DISPOSITION_POISON"},
		"small-messages":         {[]int{22}, "ResourceExhausted"},
		"logs-secrets":           {[]int{23}, "a secret that was configured is in its standard error, as it is"},
		"secret-in-summary":      {[]int{23}, "a secret that was configured is in a result, as it is"},
		"floods-stderr":          {[]int{24}, "for each run, want at most 65536"},
		"floods-stdout":          {[]int{24}, "for each run, want at most 65536"},
		"blocks-on-stdout":       {[]int{17, 18, 24, 26}, "DeadlineExceeded"},
		"plain-log":              {[]int{25}, "a line on standard error is no JSON"},
		"never-drained":          {[]int{27}, "calling Drain with a deadline of 4s: DeadlineExceeded"},
		"drains-at-once":         {[]int{27}, "the answer of Drain came while a call went on"},
		"describe-needs-network": {[]int{8}, "without network, home and temporary folder: calling Describe"},
		"shallow":                {[]int{9}, `with the parameter "/more/list" left out nothing was found wrong`},
		"refresh-is-done":        {[]int{20}, "Refresh with a backend that is away is DISPOSITION_DONE"},
		"refresh-holds":          {[]int{19}, "Refresh with 0 alerts and the good parameters is DISPOSITION_HOLD"},
		"hungry":                 {[]int{26}, "MiB of memory, want at most 128"},
		"many-files":             {[]int{26}, "too many open files"},
		"describe-of-process":    {[]int{28}, "two processes describe the plugin differently"},
	}
}

// neighbours are the groups of cases: the whole suite for each promise would take minutes.
func neighbours(cases []int) []string {
	group := []string{1: "process", 7: "describe", 9: "configure", 12: "run", 19: "export", 21: "host", 22: "export", 23: "host", 28: "host"}
	var out []string
	for _, n := range cases {
		for group[n] == "" {
			n--
		}
		out = append(out, group[n])
	}
	return out
}

func TestTheSuiteCatchesAPluginThat(t *testing.T) {
	t.Parallel()
	path := built(t)
	for bad, want := range promises() {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			r := run(t, plugintest.Options{Path: path, Config: config(t, bad), Only: neighbours(want.cases)})
			if got := numbers(r, plugintest.NotOK); !slices.Equal(got, want.cases) {
				t.Errorf("the cases %v found it, want %v", got, want.cases)
			}
			if !strings.Contains(text(r), want.says) {
				t.Errorf("the suite did not say %q", want.says)
			}
			if t.Failed() {
				t.Log(text(r))
			}
		})
	}
}
