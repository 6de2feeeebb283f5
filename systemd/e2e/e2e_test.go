//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/systemd/e2e/lab"
)

// life is how long one machine may live: a boot, one test of the guest, and what a slow host makes of them.
const life = 3 * time.Minute

// made is a folder with packages that are there already, old.deb of version 0.1.0 and new.deb of version 0.2.0.
var made = flag.String("packages", "", "use old.deb and new.deb of this folder (versions 0.1.0 and 0.2.0) and build none") //nolint:gochecknoglobals // a flag

// within is which subtests of the guest's tests run, for who works on one.
var within = flag.String("within", "", "run only these subtests of the guest's tests, as a pattern") //nolint:gochecknoglobals // a flag

// releases are those of Debian that the packages are tried on.
var releases = flag.String("releases", "bookworm,trixie,forky", "the Debian releases, by name; also bullseye, with the oldest systemd that we serve") //nolint:gochecknoglobals // a flag

func TestMain(m *testing.M) {
	if kept, code := lab.Keep(os.Args); kept { //nolint:forbidigo // this is where the process begins
		os.Exit(code) //nolint:forbidigo // and ends
	}
	m.Run()
}

// TestReleases runs every test of the guest on every release, each on a machine of its own that has seen nothing before.
func TestReleases(t *testing.T) {
	t.Parallel()
	if err := lab.Check(); err != nil {
		t.Fatalf("this machine cannot boot a release: %v", err)
	}
	share := furnish(t)
	names := guestTests(t, filepath.Join(share, "guest.test"))
	for release := range strings.SplitSeq(*releases, ",") {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			base, err := lab.Base(t.Context(), release, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				t.Run(strings.TrimPrefix(name, "Test"), func(t *testing.T) {
					t.Parallel()
					onMachine(t, lab.Machine{Base: base, Share: share, Limit: life}, name)
				})
			}
		})
	}
}

// TestComputer boots an emulated computer with its own kernel, for what a container cannot show.
func TestComputer(t *testing.T) {
	if err := lab.CheckComputer(); err != nil {
		t.Fatalf("this machine cannot emulate another: %v", err)
	}
	base, err := lab.BaseWithKernel(t.Context(), "bookworm", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	onMachine(t, lab.Machine{Base: base, Share: furnish(t), Limit: 3 * life, Computer: true}, onComputer)
}

// onMachine runs one test of the guest and fails with it, and with each of its subtests.
func onMachine(t *testing.T, m lab.Machine, name string) {
	t.Helper()
	subtests := ""
	if *within != "" {
		subtests = "/" + *within
	}
	m.Command = []string{"/e2e/guest.test", "-test.v", "-test.failfast=false", fmt.Sprintf("-test.timeout=%s", m.Limit-30*time.Second), "-test.run=^" + name + "$" + subtests}
	var said bytes.Buffer
	code, err := lab.Run(t.Context(), m, io.MultiWriter(&said, t.Output()))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	verdicts := regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+)`).FindAllStringSubmatch(said.String(), -1)
	passed := false
	for _, verdict := range verdicts {
		word, of := verdict[1], verdict[2]
		if of == name {
			passed = word == "PASS"
			continue
		}
		t.Run(strings.TrimPrefix(of, name+"/"), func(t *testing.T) {
			if word != "PASS" {
				t.Errorf("%s in the guest", word)
			}
		})
	}
	if !passed || code != 0 {
		t.Errorf("%s did not pass in the guest; its exit code is %d", name, code)
	}
}

// onComputer is the guest's test that needs a kernel of its own; all others are at home in a container.
const onComputer = "TestComputer"

// guestTests are the names of the guest's other tests: what is not run and passed on a release fails there.
func guestTests(t *testing.T, binary string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "-test.list=^Test").Output()
	if err != nil {
		t.Fatalf("listing the guest's tests: %v", err)
	}
	names := strings.Fields(string(out))
	if len(names) == 0 {
		t.Fatal("the guest has no tests")
	}
	slices.Sort(names)
	own := slices.Index(names, onComputer)
	if own < 0 {
		t.Fatalf("the guest has no %s", onComputer)
	}
	return slices.Delete(names, own, own+1)
}

// furnish makes what the machines share: two packages of this tree, the older with the lower version, the guest's test, the
// agent of the newer package as the simulator, and plugins.
func furnish(t *testing.T) string {
	t.Helper()
	share, err := lab.Shared()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(share) })
	const module = "github.com/windsock-monitor/windsock/"
	commands := map[string][]string{
		"guest":  {"go", "test", "-c", "-tags=e2e", "-ldflags=-s -w", "-o", share + "/guest.test", module + "systemd/e2e/guest"},
		"ndjson": {"go", "build", "-trimpath", "-ldflags=-s -w", "-o", share + "/plugins/ndjson", module + "plugins/examples/ndjson-file"},
		"thief":  {"go", "build", "-tags=e2e", "-trimpath", "-ldflags=-s -w", "-o", share + "/plugins/thief", module + "systemd/e2e/guest/thief"},
	}
	var building sync.WaitGroup
	for file, version := range map[string]string{"old.deb": "0.1.0", "new.deb": "0.2.0"} {
		building.Go(func() { pack(t.Context(), t, filepath.Join(share, file), version) })
	}
	for what, command := range commands {
		building.Go(func() { build(t.Context(), t, ".", what, command) })
	}
	building.Wait()
	if t.Failed() {
		t.FailNow()
	}
	build(t.Context(), t, share, "the simulator", []string{"dpkg-deb", "-x", "new.deb", "product"})
	if t.Failed() {
		t.FailNow()
	}
	return share
}

// pack makes a package of this tree, or takes the one that is there. It is called from several goroutines.
func pack(ctx context.Context, t *testing.T, file, version string) {
	t.Helper()
	from := filepath.Join(*made, filepath.Base(file))
	if *made == "" {
		dist := filepath.Join("dist", "e2e", version)
		build(ctx, t, "../..", version, []string{"go", "run", "./systemd/packages", "-dist", dist, "-arch", "amd64", "-format", "deb"})
		from = filepath.Join("../..", dist, "windsock_"+version+"_amd64.deb")
	}
	build(ctx, t, ".", "a copy of "+from, []string{"cp", from, file})
}

// build runs one command in dir. It is called from several goroutines.
func build(ctx context.Context, t *testing.T, dir, what string, command []string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "VERSION="+what)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("building %s: %v\n%s", what, err, out)
	}
}
