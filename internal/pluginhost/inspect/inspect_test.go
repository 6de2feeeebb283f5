package inspect_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost/inspect"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	_ "github.com/windsock-monitor/windsock/internal/sandbox/shim" // this test binary is the shim of its plugins
)

//nolint:gochecknoglobals // built once for all tests
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "windsock-inspect-")
	if err != nil {
		panic(err)
	}
	built = filepath.Join(dir, "shop")
	cmd := exec.Command("go", "build", "-o", built, "../../../plugins/sdk/testdata/plugin") //nolint:noctx // before there is a test
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	if err := goleak.Find(); err != nil && code == 0 {
		panic(err)
	}
	os.Exit(code) //nolint:forbidigo // a TestMain ends with the code of its tests
}

func started(t *testing.T) *inspect.Plugin {
	t.Helper()
	p, err := inspect.Start(t.Context(), inspect.Options{Path: built, Policy: sandbox.Policy{Network: sandbox.NetworkNone}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestAPluginSaysWhatItIs(t *testing.T) {
	p := started(t)
	if p.Manifest.Name != "shop" || p.Manifest.Version != "1.2.3" || len(p.SHA256) != 64 {
		t.Errorf("got %s %s %s", p.Manifest.Name, p.Manifest.Version, p.SHA256)
	}
	digest, err := inspect.Digest(inspect.Options{Path: built})
	if err != nil || digest != p.SHA256 {
		t.Errorf("got the digest %s, %v, want %s", digest, err, p.SHA256)
	}
}

func TestATrial(t *testing.T) {
	p := started(t)
	for name, tc := range map[string]struct {
		trial  inspect.Trial
		status checks.Status
		taken  bool
		wrong  string // with the parameters
	}{
		"a run that is ok":         {inspect.Trial{Kind: "login", Params: []byte("url: https://shop.example\nsays: ok")}, checks.OK, false, ""},
		"one that is not":          {inspect.Trial{Kind: "login", Params: []byte(`{"url": "https://shop.example", "says": "failed"}`)}, checks.Failed, false, ""},
		"an export that is taken":  {inspect.Trial{Kind: "lake"}, 0, true, ""},
		"one that is not taken":    {inspect.Trial{Kind: "lake", Params: []byte("answer: retry")}, 0, false, ""},
		"a kind that is not there": {inspect.Trial{Kind: "lakes"}, 0, false, `no kind "lakes"`},
		"an unknown parameter":     {inspect.Trial{Kind: "lake", Params: []byte("anwser: retry")}, 0, false, `no parameter is called "anwser"; did you mean "answer"?`},
		"no YAML":                  {inspect.Trial{Kind: "lake", Params: []byte("a: [")}, 0, false, "the parameters are not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.trial.Timeout = 10 * time.Second
			got, err := p.Try(t.Context(), tc.trial)
			if params, ok := errors.AsType[*inspect.ParamsError](err); tc.wrong != "" {
				if !ok || !strings.Contains(params.Text, tc.wrong) {
					t.Errorf("got %v, want %q", err, tc.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Report == nil && (got.Taken != tc.taken || got.Export == "") || got.Report != nil && got.Report.Status != tc.status {
				t.Errorf("got %+v, want %s or taken %v", got, tc.status, tc.taken)
			}
		})
	}
}

func TestAFileThatOthersCanChangeIsNotStarted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop")
	data, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := inspect.Start(t.Context(), inspect.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "others can write") {
		t.Errorf("got %v, want that others can write it", err)
	}
	p, err := inspect.Start(t.Context(), inspect.Options{Path: path, Trust: true})
	if err != nil {
		t.Fatalf("trusted, it is not started: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
