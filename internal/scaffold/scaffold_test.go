package scaffold_test

import (
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	_ "github.com/windsock-monitor/windsock/internal/sandbox/shim"
	"github.com/windsock-monitor/windsock/internal/scaffold"
	"github.com/windsock-monitor/windsock/plugins/plugintest"
)

func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var name string
			name, err = filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run runs a program in the folder and returns what it says.
func run(t *testing.T, dir string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return string(out)
}

// need skips where a program or a library is not there.
func need(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Skipf("%v: %v: %s", command, err, out)
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestWhatIsWritten(t *testing.T) {
	t.Parallel()
	every := []string{".github/workflows/ci.yml", ".gitignore", "Makefile", "README.md", "conformance.json"}
	library := []string{"__main__.py", "api.binpb", "windsock_plugin.py"}
	cases := map[string]struct {
		options scaffold.Options
		more    []string
	}{
		"a check in Go":         {scaffold.Options{Lang: "go", Kind: "check"}, []string{"go.mod", "main.go", "url.go", "url_test.go"}},
		"an exporter in Go":     {scaffold.Options{Lang: "go", Kind: "exporter"}, []string{"go.mod", "main.go", "ndjson.go", "ndjson_test.go"}},
		"a check in Python":     {scaffold.Options{Lang: "python", Kind: "check"}, append([]string{"url.py", "test_url.py"}, library...)},
		"an exporter in Python": {scaffold.Options{Lang: "python", Kind: "exporter"}, append([]string{"ndjson.py", "test_ndjson.py"}, library...)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "far", "shop-2")
			if err := scaffold.Write(dir, c.options); err != nil {
				t.Fatal(err)
			}
			got, want := files(t, dir), slices.Sorted(slices.Values(append(slices.Clone(c.more), every...)))
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			for _, name := range got {
				text := read(t, dir, name)
				if strings.Contains(text, "[["+".") || strings.Contains(text, "<no value>") {
					t.Errorf("%s has a mark of its template left:\n%s", name, text)
				}
				if formatted, err := format.Source([]byte(text)); strings.HasSuffix(name, ".go") && (err != nil || string(formatted) != text) {
					t.Errorf("%s is not as gofmt writes it: %v", name, err)
				}
			}
			var ci any
			if err := yaml.Unmarshal([]byte(read(t, dir, ".github/workflows/ci.yml")), &ci); err != nil {
				t.Error(err)
			}
			if readme := read(t, dir, "README.md"); !strings.Contains(readme, "shop-2/") || !strings.Contains(readme, "make conformance") {
				t.Errorf("got the README\n%s", readme)
			}
		})
	}
}

func TestWhatAProjectInGoRequires(t *testing.T) {
	t.Parallel()
	root := repository(t)
	cases := map[string]struct{ version, replace, want string }{
		"a release":                    {"v1.2.3", "", "module example.com/shop\n\ngo 1.26\n\nrequire github.com/windsock-monitor/windsock v1.2.3\n"},
		"an agent between releases":    {"v1.2.3-4-gabcdef0", "", "module example.com/shop\n\ngo 1.26\n"},
		"an agent of nobody's release": {"dev", "", "module example.com/shop\n\ngo 1.26\n"},
		"sources in a folder": {
			"v1.2.3", root,
			"module example.com/shop\n\ngo 1.26\n\nrequire github.com/windsock-monitor/windsock v0.0.0\n\nreplace github.com/windsock-monitor/windsock => " + root + "\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.replace != "" {
				sources(t)
			}
			dir := t.TempDir()
			if err := scaffold.Write(dir, scaffold.Options{Lang: "go", Kind: "check", Name: "shop", Version: c.version, Replace: c.replace}); err != nil {
				t.Fatal(err)
			}
			if got := read(t, dir, "go.mod"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// sources skips where these are not the sources with the library for Go.
func sources(t *testing.T) {
	t.Helper()
	if found, err := filepath.Glob("../../plugins/sdk/*.go"); err != nil || len(found) == 0 {
		t.Skip("the library for Go is not there")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(full, "mine")
	cases := map[string]struct {
		dir     string
		options scaffold.Options
		want    string
	}{
		"a folder with something in it": {full, scaffold.Options{Lang: "go", Kind: "check", Name: "a"}, `is not empty: "mine" is there`},
		"a file":                        {file, scaffold.Options{Lang: "go", Kind: "check", Name: "a"}, "not a directory"},
		"another language":              {"x", scaffold.Options{Lang: "node", Kind: "check", Name: "a"}, "docs/plugins/node.md"},
		"another kind":                  {"x", scaffold.Options{Lang: "go", Kind: "rule", Name: "a"}, `kind "rule", want check or exporter`},
		"a name that is none":           {"x", scaffold.Options{Lang: "go", Kind: "check", Name: "My Shop"}, `name "My Shop", want lower-case`},
		"a folder's name that is none":  {"2shops", scaffold.Options{Lang: "go", Kind: "check"}, `name "2shops"`},
		"sources that are none":         {"x", scaffold.Options{Lang: "go", Kind: "check", Name: "a", Replace: full}, "does not hold the sources"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := c.dir
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(t.TempDir(), dir)
			}
			err := scaffold.Write(dir, c.options)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if dir != c.dir {
				if _, err := os.Stat(dir); err == nil {
					t.Error("the folder was made all the same")
				}
			}
		})
	}
}

func TestProjectsInPythonBuildAndPass(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/python3", "--version")
	need(t, "make", "--version")
	for _, kind := range []string{"check", "exporter"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "shop")
			if err := scaffold.Write(dir, scaffold.Options{Lang: "python", Kind: kind}); err != nil {
				t.Fatal(err)
			}
			run(t, dir, "make", "build", "test")
			if out := run(t, dir, "./dist/shop", "--describe"); !strings.Contains(out, `"type": "`+kind+`"`) {
				t.Errorf("got the manifest %s, want one with a kind of type %s", out, kind)
			}
			need(t, "/usr/bin/python3", "-c", "import grpc, google.protobuf")
			plugintest.Conform(t, filepath.Join(dir, "dist", "shop"), filepath.Join(dir, "conformance.json"))
			for _, name := range files(t, dir) {
				if strings.HasSuffix(name, ".pyc") {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

func TestProjectsInGoBuildAndPass(t *testing.T) {
	t.Parallel()
	sources(t)
	need(t, "make", "--version")
	root := repository(t)
	for _, kind := range []string{"check", "exporter"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "shop")
			if err := scaffold.Write(dir, scaffold.Options{Lang: "go", Kind: kind, Replace: root}); err != nil {
				t.Fatal(err)
			}
			// What make would ask the network for is what this repository has. One way to build everything, so that it is built once.
			if err := os.WriteFile(filepath.Join(dir, "go.sum"), []byte(read(t, root, "go.sum")), 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{"env", "CGO_ENABLED=0", "GOFLAGS=-mod=mod -trimpath", "GOPROXY=off"}
			run(t, dir, append(env, "make", "build", "test")...)
			run(t, dir, append(env, "go", "vet", "./...")...)
			plugintest.Conform(t, filepath.Join(dir, "dist", "shop"), filepath.Join(dir, "conformance.json"))
		})
	}
}
